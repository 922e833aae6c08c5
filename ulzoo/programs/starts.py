"""Where sampling starts: quasi-random standard normal noise, in place of independent draws."""

from __future__ import annotations

import math

import numpy as np

from ulzoo.interfaces import Shape

MOST_VALUES = 21_201
"""Dimensions for which direction numbers are known (Joe & Kuo 2008, which SciPy ships)."""

# Points are multiples of 2⁻³⁰ from 0 on: half a cell more keeps them inside (0, 1), with finite quantiles.
_HALF_CELL = 2.0**-31


class SobolStarts:
    """Standard normal noise of a scrambled Sobol sequence, one of its own for each class.

    Every start is standard normal, as an independent draw is; together they fill the space more evenly, so
    that means and covariances of a set of samples vary less from set to set. The n-th sample of a class
    depends on seed, class and n, in whatever batches it is asked for.

    Source: Owen 1998, "Scrambling Sobol' and Niederreiter–Xing points"; sequence and scrambling are SciPy's.
    """

    def __init__(self, shape: Shape, seed: int) -> None:
        self._shape, self._seed = shape, seed
        self._sequences: dict[int, object] = {}

    def next(self, labels: np.ndarray | None, count: int) -> np.ndarray:
        """The starts of the next `count` samples, float32 (count, *shape).

        Args:
            labels: their classes, int (count,); None without classes.
        """
        classes = np.zeros(count, int) if labels is None else labels
        points = np.stack([self._point(int(label)) for label in classes])
        return points.reshape(count, *self._shape)

    def _point(self, label: int) -> np.ndarray:
        from scipy.special import ndtri
        from scipy.stats import qmc

        if label not in self._sequences:
            rng = np.random.default_rng([self._seed, label])
            self._sequences[label] = qmc.Sobol(math.prod(self._shape), scramble=True, rng=rng)
        (point,) = self._sequences[label].random(1)  # type: ignore[attr-defined]
        return ndtri(point + _HALF_CELL).astype(np.float32)
