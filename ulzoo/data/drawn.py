"""A split as training sees it: every record with random crops and the like, and yet the same at each call."""

from __future__ import annotations

import numpy as np

from ulzoo.data.source import Record, Source


class Drawn(Source):
    """Records drawn as for training, each with a generator of its own.

    Args:
        source: a split.
        seed, turn: of the generators, with the record's index; each turn is another draw.
    """

    def __init__(self, source: Source, seed: int, turn: int) -> None:
        self._source, self._seed, self._turn = source, seed, turn

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Record:
        return self._source.draw(index, np.random.default_rng([self._seed, self._turn, index]))
