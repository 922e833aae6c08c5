"""Fréchet video distance of samples: Unterthiner et al. 1812.01717."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.metrics.i3d_features import I3DFeatures, clip_protocol, write_random_i3d
from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Metric


class FVDConfig(Component):
    """Fréchet distance between sampled and real clips on the logits of I3D."""

    type: Literal["ulzoo.fvd.v1"] = "ulzoo.fvd.v1"
    stage: ClassVar[int] = 2
    example: ClassVar = {
        **{"features": {"weights": "i3d.pt", "batch_size": 2}, "count": 2},
        **{"real_count": 2, "resamples": 2},
    }

    features: I3DFeatures
    """The network, its weights, and how frames are resized for it."""

    split: Literal["train", "heldout"] = "train"
    """The real clips that samples are compared with."""

    count: int = Field(default=2048, ge=2)
    """Samples. The distance is biased upwards, about as one over their number: compare equal numbers."""

    real_count: int | None = Field(default=None, ge=2)
    """At most this many real clips of the split, spread evenly; null for all."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the samples and the bootstrap."""

    resamples: int = Field(default=20, ge=0, le=1000)
    """Bootstrap resamples of the samples for the interval; below 2 there is none, and no features are kept on
    disk."""

    @classmethod
    def example_files(cls, folder: Path) -> Mapping[str, Any]:
        """A small network with random weights."""
        return {"features": {"weights": write_random_i3d(folder), "batch_size": 2}}

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record.

        Raises:
            InterfaceError: data that are no clips of nine frames or more, or a file that does not hold the
                network.
        """
        from ulzoo.metrics.frechet_metric import FrechetPlan, frechet_measure
        from ulzoo.metrics.streams import Real, Samples

        self.features.check(io)
        return frechet_measure(
            FrechetPlan(
                name=f"stage2/{self.split}/fvd",
                found=Samples(self.count, self.seed),
                reference=Real(self.split, self.real_count),
                words=f"{self.split} clips",
                network=self.features,
                resamples=self.resamples,
                seed=self.seed,
                layer="logits",
                more=clip_protocol(io, given=0),
            )
        )
