"""Fréchet Inception distance of samples: Heusel et al. 1706.08500."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.metrics.inception_features import InceptionFeatures, write_random_inception
from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Metric


class FIDConfig(Component):
    """Fréchet distance between samples and real images on the features of the Inception network (gFID)."""

    type: Literal["ulzoo.fid.v1"] = "ulzoo.fid.v1"
    stage: ClassVar[int] = 2
    example: ClassVar = {
        **{"features": {"weights": "inception.pth"}, "count": 24},
        **{"real_count": 24, "resamples": 2},
    }

    features: InceptionFeatures
    """The network, its weights, and how images are resized for it."""

    split: Literal["train", "heldout"] = "train"
    """The real images that samples are compared with; papers take the training set."""

    reference: Annotated[str, Field(min_length=1)] | None = None
    """File of the statistics of real images, an `.npz` with `mu` and `sigma` of the same network's features,
    in place of the split's; null: the split's are computed. How its images were resized is for you to
    know."""

    count: int = Field(default=50_000, ge=2)
    """Samples. The distance is biased upwards, about as one over their number: compare equal numbers."""

    real_count: int | None = Field(default=None, ge=2)
    """At most this many real images of the split, spread evenly; null for all."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the samples and the bootstrap."""

    resamples: int = Field(default=20, ge=0, le=1000)
    """Bootstrap resamples of the samples for the interval; below 2 there is none, and no features are kept on
    disk."""

    @classmethod
    def example_files(cls, folder: Path) -> Mapping[str, Any]:
        """A small network with random weights."""
        return {"features": {"weights": write_random_inception(folder)}}

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record.

        Raises:
            InterfaceError: data that are no images, or a file that does not hold the network or statistics of
                its features.
        """
        from ulzoo.metrics.frechet_metric import FrechetPlan, check_file, frechet_measure
        from ulzoo.metrics.streams import Real, Samples

        self.features.check(io)
        if self.reference is not None:
            check_file(self.reference, self.features.dimensions())
        return frechet_measure(
            FrechetPlan(
                name=f"stage2/{'reference' if self.reference else self.split}/fid",
                found=Samples(self.count, self.seed),
                reference=self.reference or Real(self.split, self.real_count),
                words=f"{self.split} images",
                network=self.features,
                resamples=self.resamples,
                seed=self.seed,
            )
        )
