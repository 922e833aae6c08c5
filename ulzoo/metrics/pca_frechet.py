"""Distance between the distribution of samples and that of real images, in a feature space anyone can
rebuild."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from pydantic import Field

from ulzoo.errors import InterfaceError
from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    import numpy as np

    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Evaluation, Metric, Record
    from ulzoo.metrics.collecting import Collection, Measure, Request
    from ulzoo.metrics.features import PCA
    from ulzoo.metrics.streams import ImageBatch, Stream

RESAMPLES = 200
"""Of the samples, for the interval: small tables, a moment's work."""


class PCAFrechetFields(Component):
    """Fields of the distance, whoever makes the samples."""

    stage: ClassVar[int] = 2

    split: Literal["train", "heldout"] = "heldout"
    """The real images that samples are compared with."""

    count: int = Field(default=1000, ge=2)
    """Samples."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the samples and the bootstrap."""

    components: int = Field(default=32, gt=0)
    """Principal components."""

    train_count: int | None = Field(default=10_000, ge=2)
    """At most this many training images for the components and for the comparison with real data; null for
    all. They are held in memory, 8 bytes a value."""

    real_count: int | None = Field(default=10_000, ge=2)
    """At most this many real images of the split, spread evenly; null for all."""

    def check(self, io: DataIO | None) -> None:
        """Raises InterfaceError for more components than an image has values."""
        if io is not None and self.components > math.prod(io.shape):
            raise InterfaceError(
                f"{self.components} components of images with {math.prod(io.shape)} values {io.shape}",
                "components",
            )


class PCAFrechetConfig(PCAFrechetFields):
    """Fréchet distance between samples and real images on principal components fitted to training images."""

    type: Literal["ulzoo.pca_frechet.v1"] = "ulzoo.pca_frechet.v1"
    stage: ClassVar[int] = 2

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record.

        Raises:
            InterfaceError: more components than an image has values.
        """
        self.check(io)
        return samples_measure(self, "pca_frechet")


@dataclass(frozen=True)
class Projection:
    """The `place` of each image of a batch on principal components of training images: (n, k).

    Attributes:
        components: k.
        count: training images, at most; None for all.
    """

    components: int
    count: int | None

    @property
    def fitted_to(self) -> Stream:
        from ulzoo.metrics.streams import Real

        return Real("train", self.count)

    def fit(self, images: np.ndarray) -> PlaceReader:
        from ulzoo.metrics.features import fit_pca

        return PlaceReader(fit_pca(images, self.components))

    def protocol(self) -> Mapping[str, Any]:
        """What its numbers are."""
        features = f"{self.components} principal components of training images, pixels 0 to 1, float64"
        return {"features": features}


@dataclass(frozen=True)
class PlaceReader:
    """Projects batches."""

    pca: PCA

    def __call__(self, batch: ImageBatch) -> dict[str, np.ndarray]:
        return {"place": self.pca(batch.images)}


def samples_measure(config: PCAFrechetFields, name: str) -> Measure:
    """The distance of a stage's samples, as a record called `name`."""
    from ulzoo.metrics.collecting import Measure, Request
    from ulzoo.metrics.sinks import Table
    from ulzoo.metrics.streams import Samples

    projection = Projection(config.components, config.train_count)
    request = Request(Samples(config.count, config.seed), Table("place", "float64"), projection)
    return Measure((request,), partial(finish, config, name, request))


def finish(
    config: PCAFrechetFields, name: str, request: Request, evaluation: Evaluation, collected: Collection
) -> list[Record]:
    """One record, called `name`, in squared pixel values (black 0, white 1).

    `extra` gives the same distance from the training images to the split, all of them whatever the number of
    samples, and the ratio of the two, None when the training images are the split. A distance of few images
    is biased upwards, about as 1/n: fewer samples than training images make the ratio larger, not smaller.
    """
    from ulzoo.metrics.base import Record
    from ulzoo.metrics.fid_distance import bootstrap_deviation, normal_interval
    from ulzoo.metrics.frechet import fit_gaussian, frechet_distance
    from ulzoo.metrics.sinks import Moments

    assert request.network is not None
    pca = cast(PlaceReader, collected.readers[request.network]).pca
    found, how = collected[request], collected.protocols[request.stream]
    train, _ = evaluation.images("train", config.train_count)
    real, _ = evaluation.images(config.split, config.real_count)
    reference = fit_gaussian(pca(real))
    distance = frechet_distance(*fit_gaussian(found), *reference)
    moments = Moments(len(real), *reference)
    deviation = bootstrap_deviation(found, moments, resamples=RESAMPLES, seed=config.seed)
    train_distance = frechet_distance(*fit_gaussian(pca(train)), *reference)
    protocol = {
        **evaluation.protocol,
        **how,
        "split": config.split,
        "samples": len(found),
        "real_images": len(real),
        "train_images": len(train),
        "seed": config.seed,
        **request.network.protocol(),
        "interval": f"95 %, normal, {RESAMPLES} bootstrap resamples of the samples; the reference is fixed",
        "comparable": "only within this protocol; not an FID",
    }
    extra = {
        "train_distance": train_distance,
        "ratio": distance / train_distance if config.split != "train" and train_distance > 0 else None,
        "explained_variance": pca.explained,
    }
    name = f"stage{config.stage}/{config.split}/{name}"
    interval = normal_interval(distance, deviation)
    return [Record(name, distance, "squared pixel value", protocol, interval, extra)]
