"""An evaluation of nothing: random images and rates, for metrics to measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ulzoo.metrics.base import Images, RateTable
from ulzoo.metrics.collecting import FromArrays

CLASSES = 10
IMAGES = 64
"""In each split."""


class RandomEvaluation(FromArrays):
    """Everything that `ulzoo.metrics.base.Evaluation` offers; each method is a function of its arguments."""

    def __init__(self, stage: int, shape: tuple[int, ...]) -> None:
        channels, *space = shape
        self._image = (*space, channels)
        self.stage = stage
        self.protocol: Mapping[str, Any] = {"spec_hash": "0" * 64, "training_steps": 1}
        self.pixels = int(np.prod(space))
        self.latent_shape = (2, *(max(1, size // 4) for size in space))
        self.is_bound = True

    def images(self, split: str, limit: int | None = None) -> tuple[Images, np.ndarray | None]:
        rng = np.random.default_rng(["train", "heldout"].index(split))
        count = IMAGES if limit is None else min(limit, IMAGES)
        return self._draw(rng, count), np.arange(count, dtype=np.int32) % CLASSES

    def rates(self, split: str, limit: int | None, times: int, seed: int, draws: int = 0) -> RateTable:
        rng = np.random.default_rng([2, seed, draws])
        count, times = len(self.images(split, limit)[0]), times * max(draws, 1)
        diffusion = rng.exponential(20.0, (count, times))
        maps = rng.exponential(1.0, (count, *self.latent_shape[1:]))
        return RateTable(diffusion + 1.0, rng.uniform(-10.0, 5.0, (count, times)), diffusion, maps)

    def reconstructions(
        self, split: str, limit: int | None, seed: int, sampler: Any
    ) -> tuple[Images, Images, Mapping[str, Any]]:
        originals, _ = self.images(split, limit)
        noise = np.random.default_rng([3, seed]).integers(-8, 9, originals.shape)
        images = np.clip(originals.astype(int) + noise, 0, 255).astype(np.uint8)
        return originals, images, {"decoder_sampler": "none", "decoder_steps": 1}

    def samples(self, count: int, seed: int) -> tuple[Images, np.ndarray | None, Mapping[str, Any]]:
        images = self._draw(np.random.default_rng([4, seed]), count)
        return images, np.arange(count, dtype=np.int32) % CLASSES, {"sampler": "none", "steps": 1}

    def predictions(
        self, split: str, limit: int | None, given: int, seed: int
    ) -> tuple[Images, Images, Mapping[str, Any]]:
        clips, _ = self.images(split, limit)
        frames = self._draw(np.random.default_rng([5, seed]), len(clips))
        return clips, frames, {"sampler": "none", "steps": 1}

    def _draw(self, rng: np.random.Generator, count: int) -> Images:
        return rng.integers(0, 256, (count, *self._image), dtype=np.uint8)
