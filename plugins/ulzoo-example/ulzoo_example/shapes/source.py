"""Draws the shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ulzoo.data.source import Record, Source, Split

if TYPE_CHECKING:
    from ulzoo_example.shapes.config import ShapesConfig


class Shapes(Source):
    """One split. A picture is a function of split and index alone, so threads and restarts change nothing."""

    def __init__(self, config: ShapesConfig, split: Split) -> None:
        self._size = config.size
        self._split = 0 if split == "train" else 1
        self._count = config.count if split == "train" else max(1, config.count // 4)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self._count:
            raise IndexError(index)
        rng = np.random.default_rng([self._split, index])
        label = int(rng.integers(3))
        radius = rng.uniform(0.15, 0.3) * self._size
        y, x = (rng.uniform(radius, self._size - radius) for _ in range(2))
        ink = coverage(label, self._size, y, x, radius) * rng.uniform(0.6, 1.0)
        # uint8, channels last, until it is on the device.
        image = np.rint(255 * ink).astype(np.uint8)[..., None]
        return {"image": image, "label": np.int32(label), "index": np.int32(index)}


def coverage(label: int, size: int, y: float, x: float, radius: float) -> np.ndarray:
    """How much of each pixel the shape covers, 0 to 1: soft edges, one pixel wide."""
    centres = np.arange(size) + 0.5
    down, right = np.abs(centres[:, None] - y), np.abs(centres[None, :] - x)
    if label == 0:
        outside = np.hypot(down, right) - radius
    elif label == 1:
        outside = np.maximum(down, right) - radius
    else:
        bar = np.minimum(down, right) - radius / 3
        outside = np.maximum(bar, np.maximum(down, right) - radius)
    return np.clip(0.5 - outside, 0.0, 1.0)
