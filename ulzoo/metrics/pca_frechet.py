"""Distance between the distribution of samples and that of real images, in a feature space anyone can
rebuild."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.errors import InterfaceError
from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Evaluation, Metric, Record
    from ulzoo.metrics.collecting import Reader
    from ulzoo.metrics.features import PCA

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
        return partial(measure, self)


@dataclass(frozen=True, eq=False)
class Projection:
    """The `place` of each image of a batch on principal components: (n, k)."""

    pca: PCA

    def open(self) -> Reader:
        return lambda batch: {"place": self.pca(batch.images)}

    def protocol(self) -> Mapping[str, Any]:
        return {"features": f"{self.pca.axes.shape[1]} principal components of training images"}


def measure(config: PCAFrechetFields, evaluation: Evaluation, *, name: str = "pca_frechet") -> list[Record]:
    """One record, called `name`, in squared pixel values (black 0, white 1).

    `extra` gives the same distance from the training images to the split, all of them whatever the number of
    samples, and the ratio of the two, None when the training images are the split. A distance of few images
    is biased upwards, about as 1/n: fewer samples than training images make the ratio larger, not smaller.
    """
    from ulzoo.metrics.base import Record
    from ulzoo.metrics.collecting import Request
    from ulzoo.metrics.features import fit_pca
    from ulzoo.metrics.fid_distance import bootstrap_deviation, normal_interval
    from ulzoo.metrics.frechet import fit_gaussian, frechet_distance
    from ulzoo.metrics.sinks import Moments, Table
    from ulzoo.metrics.streams import Samples

    train, _ = evaluation.images("train", config.train_count)
    real, _ = evaluation.images(config.split, config.real_count)
    pca = fit_pca(train, config.components)
    request = Request(Samples(config.count, config.seed), Table("place", "float64"), Projection(pca))
    collected = evaluation.collect([request])
    found, how = collected[request], collected.protocols[request.stream]
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
        "features": f"{config.components} principal components of training images, pixels 0 to 1, float64",
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
