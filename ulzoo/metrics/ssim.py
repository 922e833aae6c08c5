"""Structural similarity of reconstructions: Wang et al. 2004."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.errors import InterfaceError
from ulzoo.metrics.ssim_window import WindowSide, check_window
from ulzoo.spec.component import SEEDS, Component, ComponentOf

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Metric
    from ulzoo.metrics.collecting import Reader


class SSIMConfig(Component):
    """Mean over images, or frames of clips, of the structural similarity of reconstructions, uint8 against
    uint8: 1 for equal images."""

    type: Literal["ulzoo.ssim.v1"] = "ulzoo.ssim.v1"
    stage: ClassVar[int] = 1
    example: ClassVar = {"window": 7, "count": 24}

    split: Literal["train", "heldout"] = "heldout"
    """Whose images."""

    count: int | None = Field(default=1000, gt=0)
    """At most this many images, spread evenly over the split; null for all."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the latent noise, the decoder's sampler and the bootstrap."""

    sampler: Annotated[Component, ComponentOf("sampler")] | None = None
    """Sampler of the decoder; null for the one of the spec's sample section."""

    window: WindowSide = 11
    """Pixels of a side of the window, odd; images must be as large. Papers take 11."""

    sigma: float = Field(default=1.5, gt=0, le=100)
    """Deviation in pixels of the Gaussian that weights the window. Papers take 1.5."""

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record; of clips its `extra` has the means of each frame.

        Raises:
            InterfaceError: data that are neither images nor clips, or smaller than the window.
        """
        from ulzoo.metrics.pair_metric import pair_measure

        if io is not None and len(io.shape) not in (3, 4):
            raise InterfaceError(f"structural similarity is of images and clips; the data are {io.shape}")
        check_window(self.window, io, "images")
        return pair_measure(self, "ssim", Similarity(self.window, self.sigma), {})


@dataclass(frozen=True)
class Similarity:
    """The `ssim` of a batch of reconstructions: (n,), of clips (n, t)."""

    window: int
    sigma: float

    def open(self) -> Reader:
        from ulzoo.metrics.structural_similarity import frame_similarity, structural_similarity

        def read(batch: Any) -> dict[str, Any]:
            similarity = frame_similarity if batch.images.ndim == 5 else structural_similarity
            return {"ssim": similarity(batch.originals, batch.images, window=self.window, sigma=self.sigma)}

        return read

    def protocol(self) -> Mapping[str, Any]:
        """How the window is, and what is done with colours."""
        return {
            "window": self.window,
            "sigma": self.sigma,
            "peak": 255,
            "edges": "only whole windows",
            "colour": "channels apart, then their mean",
        }
