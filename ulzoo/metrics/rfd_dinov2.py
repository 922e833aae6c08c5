"""Fréchet distance of reconstructions to their originals on features of DINOv2: Stein et al. 2306.04675."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.metrics.dinov2_features import DINOv2Features, write_random_dinov2
from ulzoo.spec.component import SEEDS, Component, ComponentOf

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Metric


class RFDDINOv2Config(Component):
    """Fréchet distance between reconstructions and the very images that were reconstructed, on the features
    of DINOv2."""

    type: Literal["ulzoo.rfd_dinov2.v1"] = "ulzoo.rfd_dinov2.v1"
    stage: ClassVar[int] = 1
    example: ClassVar = {
        "features": {"weights": "dinov2_vits14_pretrain.pth", "side": 28},
        "count": 24,
        "resamples": 2,
    }

    features: DINOv2Features
    """The network, its weights, and how images are resized for it."""

    split: Literal["train", "heldout"] = "heldout"
    """Whose images are reconstructed."""

    count: int | None = Field(default=50_000, ge=2)
    """At most this many images, spread evenly over the split; null for all. The distance is biased upwards,
    about as one over their number: compare equal numbers."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the latent noise, the decoder's sampler and the bootstrap."""

    sampler: Annotated[Component, ComponentOf("sampler")] | None = None
    """Sampler of the decoder; null for the one of the spec's sample section."""

    resamples: int = Field(default=20, ge=0, le=1000)
    """Bootstrap resamples of the reconstructions for the interval; below 2 there is none, and no features are
    kept on disk."""

    @classmethod
    def example_files(cls, folder: Path) -> Mapping[str, Any]:
        """A small network with random weights."""
        return {"features": {"weights": write_random_dinov2(folder), "side": 28}}

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record.

        Raises:
            InterfaceError: data that are no images, or a file that does not hold the network.
        """
        from ulzoo.metrics.frechet_metric import FrechetPlan, frechet_measure
        from ulzoo.metrics.streams import Real, Reconstructions

        self.features.check(io)
        return frechet_measure(
            FrechetPlan(
                name=f"stage1/{self.split}/rfd_dinov2",
                found=Reconstructions(self.split, self.count, self.seed, self.sampler),
                reference=Real(self.split, self.count),
                words="the reconstructed images themselves",
                network=self.features,
                resamples=self.resamples,
                seed=self.seed,
            )
        )
