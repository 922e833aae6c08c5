"""Draws the clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ulzoo.data.digits.source import DigitsSource
from ulzoo.data.source import Record, Source, Split

if TYPE_CHECKING:
    from ulzoo.data.moving_digits import MovingDigitsConfig


class MovingDigitsSource(Source):
    """One split. The first digit of clip `i` is digit `i` of the same split of the digits.

    `source[i]` moves in one way for ever; `draw` gives the same digit a motion from its generator.
    """

    def __init__(self, config: MovingDigitsConfig, split: Split) -> None:
        self._config = config
        self._split = 0 if split == "train" else 1
        self._digits = DigitsSource(split, config.digit_size)

    def __len__(self) -> int:
        return len(self._digits)

    def __getitem__(self, index: int) -> Record:
        # Raises for an index that is none, before it becomes a seed.
        self._digits[index]
        return self.draw(index, np.random.default_rng([self._split, index]))

    def draw(self, index: int, rng: np.random.Generator) -> Record:
        config = self._config
        first = self._digits[index]
        clip = np.zeros((config.frames, config.size, config.size), np.float32)
        for i in range(config.digits):
            digit = first if i == 0 else self._digits[int(rng.integers(len(self._digits)))]
            places = motion(config.frames, config.size - config.digit_size, config.speed, rng)
            clip = np.maximum(clip, drawn(digit["image"][..., 0], places, config.size))
        record = {"image": np.rint(clip).astype(np.uint8)[..., None], "index": np.int32(index)}
        return record | ({"label": first["label"]} if config.digits == 1 else {})


def motion(frames: int, room: int, speed: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Places (frames, 2) of the upper left corner, in pixels down and across: straight, reflected at 0 and
    `room`.

    Args:
        room: how far a digit can move.
        speed: least and greatest, in pixels per frame.
    """
    start = rng.uniform(0, room, 2)
    angle, pace = rng.uniform(0, 2 * np.pi), rng.uniform(*speed)
    way = start + pace * np.arange(frames)[:, None] * np.array([np.sin(angle), np.cos(angle)])
    # A reflected line is a triangle wave: no bounce is missed, however fast.
    return room - np.abs(np.mod(way, 2 * room) - room) if room else np.zeros_like(way)


def drawn(digit: np.ndarray, places: np.ndarray, size: int) -> np.ndarray:
    """A digit (d, d) at places (frames, 2), bilinear between pixels; float32 (frames, size, size)."""
    positions = np.arange(size)[None, :, None] - np.arange(digit.shape[0])[None, None, :]
    down, across = (
        np.maximum(0.0, 1.0 - np.abs(positions - places[:, axis, None, None])).astype(np.float32)
        for axis in (0, 1)
    )
    return down @ digit.astype(np.float32) @ across.transpose(0, 2, 1)
