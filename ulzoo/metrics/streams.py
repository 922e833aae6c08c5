"""Sets of images that metrics look at, and passing over one a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ulzoo.data.pipeline import eval_batches
from ulzoo.data.source import Source, Split
from ulzoo.spec.component import Component


@dataclass(frozen=True)
class Real:
    """Images of the data; `limit` of them, spread evenly, None for all."""

    split: Split
    limit: int | None


@dataclass(frozen=True)
class Samples:
    """Samples of a model; the i-th depends on seed, i and its label alone."""

    count: int
    seed: int


@dataclass(frozen=True)
class Reconstructions:
    """Images of the data beside their reconstructions; `sampler`: None for the spec's."""

    split: Split
    limit: int | None
    seed: int
    sampler: Component | None


@dataclass(frozen=True)
class Predictions:
    """Clips of the data whose first `given` frames are kept and the rest predicted."""

    split: Split
    limit: int | None
    given: int
    seed: int


Stream = Real | Samples | Reconstructions | Predictions


@dataclass(frozen=True)
class ImageBatch:
    """Some images of a stream.

    Attributes:
        rows: int64 (n,) their places in the stream; each place comes once, in whatever order.
        images: uint8 (n, *space, c).
        originals: of reconstructions and predictions; None of other streams.
        labels: int32 (n,), None without labels.
    """

    rows: np.ndarray
    images: np.ndarray
    originals: np.ndarray | None = None
    labels: np.ndarray | None = None

    def first(self, count: int) -> ImageBatch:
        """Those whose place is below `count`."""
        chosen = self.rows < count
        if chosen.all():
            return self
        parts = (self.images, self.originals, self.labels)
        return ImageBatch(self.rows[chosen], *(None if p is None else p[chosen] for p in parts))  # type: ignore[arg-type]


def real_batches(source: Source, size: int, limit: int | None) -> Iterator[ImageBatch]:
    """Images of a split, `size` at a time; those that damaged records were replaced by are left out."""
    start = 0
    for batch in eval_batches(source, size, limit):
        mask = batch["mask"]
        rows = np.arange(start, start + len(mask))
        start += len(mask)
        labels = batch["label"][mask] if "label" in batch else None
        yield ImageBatch(rows[mask], batch["image"][mask], None, labels)


@dataclass(frozen=True)
class Opened:
    """A stream that is about to be passed over.

    Attributes:
        count: places in it; damaged records leave some of them empty.
        protocol: how its images are made, such as samplers, steps and guidance.
        batches: the images; read once.
    """

    count: int
    protocol: Mapping[str, Any]
    batches: Iterator[ImageBatch]
