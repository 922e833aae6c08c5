"""An evaluation whose every number is chosen by the test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ulzoo.data.pipeline import spread
from ulzoo.metrics.collecting import FromArrays


@dataclass
class FakeEvaluation(FromArrays):
    """Gives what it holds, limited as asked, and notes the calls."""

    train: tuple[np.ndarray, np.ndarray | None] | None = None
    heldout: tuple[np.ndarray, np.ndarray | None] | None = None
    drawn: tuple[np.ndarray, np.ndarray | None] | None = None
    pairs: tuple[np.ndarray, np.ndarray] | None = None
    table: Any = None
    stage: int = 2
    protocol: dict = field(default_factory=lambda: {"spec": "abc", "ema": True, "dtype": "float32"})
    pixels: int = 64
    latent_shape: tuple[int, ...] = (2, 3, 3)
    is_bound: bool = True
    calls: list = field(default_factory=list)

    def images(self, split, limit=None):
        self.calls.append(("images", split, limit))
        images, labels = self.train if split == "train" else self.heldout
        chosen = spread(len(images), limit)
        return images[chosen], None if labels is None else labels[chosen]

    def rates(self, split, limit, times, seed, draws=0):
        self.calls.append(("rates", split, limit, times, seed, *([draws] if draws else [])))
        return self.table

    def reconstructions(self, split, limit, seed, sampler):
        self.calls.append(("reconstructions", split, limit, seed, sampler))
        return (*self.pairs, {"decoder_sampler": "fake", "decoder_steps": 4})

    def samples(self, count, seed):
        self.calls.append(("samples", count, seed))
        images, labels = self.drawn
        return images[:count], None if labels is None else labels[:count], {"sampler": "fake", "steps": 8}
