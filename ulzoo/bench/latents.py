"""Latents for a second stage that reads them: a few records, encoded by whatever weights the bench has."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ulzoo.autoencoder import Autoencoder
from ulzoo.data.latents import DRAWS, MIRRORED, LatentCache, views_for
from ulzoo.data.source import Record, Source
from ulzoo.encoding import encode
from ulzoo.experiment import Experiment

RECORDS = 1024
"""Encoded, at most: steps read as fast from these as from all."""


def some_latents(experiment: Experiment, autoencoder: Autoencoder, folder: Path) -> LatentCache:
    """The first records of the training split as stage 2 of the spec would read them.

    Raises:
        DataError: a record cannot be read, or a condition needs more than latents.
    """
    source = _First(experiment.data.open("train"), RECORDS)
    views = views_for(source)
    encode(
        experiment.spec,
        autoencoder,
        source,
        folder,
        split="train",
        shards=1,
        mesh=experiment.mesh,
        flip=views == MIRRORED,
        draws=2 if views == DRAWS else 0,
    )
    return LatentCache(folder)


class _First(Source):
    """The first records of a source."""

    def __init__(self, source: Source, count: int) -> None:
        self._source, self._count = source, min(count, len(source))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Record:
        return self._source[index]

    def draw(self, index: int, rng: np.random.Generator) -> Record:
        return self._source.draw(index, rng)

    def augmentation(self) -> str:
        return self._source.augmentation()
