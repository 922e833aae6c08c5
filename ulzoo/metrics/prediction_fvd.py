"""Fréchet video distance of clips that go on from given frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.errors import InterfaceError
from ulzoo.metrics.i3d_features import I3DFeatures, clip_protocol, write_random_i3d
from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Metric


class PredictionFVDConfig(Component):
    """Fréchet distance, on the logits of I3D, between real clips and clips whose first frames are given and
    the rest predicted: FVD as reported on Kinetics-600. Needs a base model with `ulzoo.given_frames.v1`."""

    type: Literal["ulzoo.prediction_fvd.v1"] = "ulzoo.prediction_fvd.v1"
    stage: ClassVar[int] = 2
    predicts: ClassVar[bool] = True
    example: ClassVar = {
        **{"features": {"weights": "i3d.pt", "batch_size": 2}, "count": 2},
        **{"real_count": 2, "resamples": 2},
    }

    features: I3DFeatures
    """The network, its weights, and how frames are resized for it."""

    split: Literal["train", "heldout"] = "heldout"
    """Whose clips are gone on from, and compared with."""

    count: int | None = Field(default=None, ge=2)
    """At most this many clips, spread evenly over the split, are predicted, once each; null for all."""

    real_count: int | None = Field(default=None, ge=2)
    """At most this many real clips of the split, spread evenly, are the reference; null for all."""

    given: int = Field(default=5, ge=1)
    """Frames given at the beginning of a clip; they are part of what the network sees."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the samples' noise and the bootstrap."""

    resamples: int = Field(default=20, ge=0, le=1000)
    """Bootstrap resamples of the predictions for the interval; below 2 there is none, and no features are
    kept on disk."""

    @classmethod
    def example_files(cls, folder: Path) -> Mapping[str, Any]:
        """A small network with random weights."""
        return {"features": {"weights": write_random_i3d(folder), "batch_size": 2}}

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record.

        Raises:
            InterfaceError: data that are no clips of nine frames or more, more given frames than a clip has,
                or a file that does not hold the network.
        """
        from ulzoo.metrics.frechet_metric import FrechetPlan, frechet_measure
        from ulzoo.metrics.streams import Predictions, Real

        self.features.check(io)
        if io is not None and self.given >= io.shape[1]:
            raise InterfaceError(f"{self.given} frames leave nothing of {io.shape[1]} to predict", "given")
        return frechet_measure(
            FrechetPlan(
                name=f"stage2/{self.split}/prediction_fvd",
                found=Predictions(self.split, self.count, self.given, self.seed),
                reference=Real(self.split, self.real_count),
                words=f"{self.split} clips",
                network=self.features,
                resamples=self.resamples,
                seed=self.seed,
                layer="logits",
                more=clip_protocol(io, given=self.given),
            )
        )
