"""Windows over something larger than a model was built for: which there are, and what is kept of each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ulzoo.errors import RunError


@dataclass(frozen=True)
class Span:
    """A window along one axis.

    Attributes:
        start: where it begins; it is as long as all others.
        first, last: what is kept of it, from `first` up to `last`, counted from the whole's beginning.
    """

    start: int
    first: int
    last: int


def spans(extent: int, size: int, overlap: int) -> tuple[Span, ...]:
    """Windows of `size` that cover `extent`, neighbours having `overlap` or more positions in common.

    What two have in common is cut in the middle, so what is kept lies `overlap // 2` or more positions
    within its window, but for the ends of the whole.

    Raises:
        RunError: the whole is shorter than a window.
        ValueError: the overlap is not less than a window.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"an overlap must be from 0 to {size - 1}, got {overlap}")
    if extent < size:
        raise RunError(f"{extent} positions are fewer than the {size} that the model was built for")
    starts = [*range(0, extent - size, size - overlap), extent - size]
    cuts = [0, *((after + before + size + 1) // 2 for before, after in itertools.pairwise(starts)), extent]
    return tuple(map(Span, starts, cuts, cuts[1:]))


Window = tuple[Span, ...]
"""One span for each axis."""


def windows(extents: Sequence[int], sizes: Sequence[int], overlaps: Sequence[int]) -> list[Window]:
    """Windows over several axes, in the order of the first one. Raises as `spans` does."""
    return list(itertools.product(*map(spans, extents, sizes, overlaps)))


def places(window: Window, sizes: Sequence[int], scale: Sequence[int]) -> tuple[slice, ...]:
    """Where a window lies in the whole, each position being `scale` of it."""
    return tuple(
        slice(span.start * by, (span.start + size) * by)
        for span, size, by in zip(window, sizes, scale, strict=True)
    )


def kept(window: Window, scale: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """What is kept of a window: where in the whole, and where in the window."""
    whole = tuple(slice(s.first * by, s.last * by) for s, by in zip(window, scale, strict=True))
    within = tuple(
        slice((s.first - s.start) * by, (s.last - s.start) * by) for s, by in zip(window, scale, strict=True)
    )
    return whole, within


def seam(frames: np.ndarray, original: np.ndarray, cuts: Sequence[int]) -> float | None:
    """How much more a clip departs from how it should change at cuts in time than elsewhere: a ratio, 1 for
    none, None without cuts.

    Args:
        frames, original: uint8 (t, h, w, c).
        cuts: frames that are the first of a window.
    """
    change = np.diff(frames.astype(np.float32), axis=0) - np.diff(original.astype(np.float32), axis=0)
    sizes = np.sqrt(np.square(change).mean((1, 2, 3)))
    at = np.isin(np.arange(1, len(frames)), list(cuts))
    if not at.any() or at.all() or not sizes[~at].any():
        return None
    return float(sizes[at].mean() / sizes[~at].mean())
