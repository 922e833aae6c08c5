"""The field `features` of metrics that look through DINOv2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ulzoo.errors import DataError, InterfaceError, inside
from ulzoo.metrics.inception_features import check_pictures
from ulzoo.spec.component import SpecModel
from ulzoo.spec.effect import Effect

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.collecting import Reader


class DINOv2Features(SpecModel):
    """A vision transformer of DINOv2 without registers (small, base or large): its class token's features."""

    weights: Annotated[str, Field(min_length=1)]
    """File of its weights, as the authors publish them or as the transformers library names them; `~` is the
    home folder, a relative path starts at the working directory."""

    side: int = Field(default=224, ge=14, le=2048)
    """Pixels of a side that images are resized to, a multiple of the patch."""

    resize: Literal["pillow", "clean"] = "pillow"
    """Bicubic and antialiased, both: `pillow` rounds to bytes, as the usual preparation of such models;
    `clean` does not, as clean-fid."""

    positions: Literal["dinov2", "transformers"] = "dinov2"
    """How embeddings of places are resized: as in the authors' code or as in the transformers library."""

    batch_size: Annotated[int, Field(gt=0, le=4096), Effect.PERFORMANCE] = 32
    """Images at a time; changes no number beyond float32's rounding."""

    @property
    def _offset(self) -> float:
        return {"dinov2": 0.1, "transformers": 0.0}[self.positions]

    def check(self, io: DataIO | None) -> None:
        """Raises InterfaceError, with its place, for data that are no pictures and for a file that does not
        hold such a network."""
        from ulzoo.metrics.networks.perceptual import dinov2_module

        check_pictures(io)
        with inside("features"):
            try:
                dinov2_module(self.weights, self.side, self._offset, values=False)
            except DataError as error:
                raise InterfaceError(str(error), "weights") from error

    def dimensions(self) -> int:
        """Features of an image: the network's width."""
        from ulzoo.metrics.networks.perceptual import dinov2_module

        return len(dinov2_module(self.weights, self.side, self._offset, values=False).norm.weight)

    def open(self) -> Reader:
        """`pool` of the images of a batch."""
        from ulzoo.metrics.networks.perceptual import dinov2_reader

        return dinov2_reader(self.weights, self.resize, self.side, self._offset, self.batch_size)

    def protocol(self) -> Mapping[str, Any]:
        """Which weights, and how images came to the network's size."""
        from ulzoo.metrics.networks.readers import described

        return {
            "network": "DINOv2, class token",
            "side": self.side,
            "resize": self.resize,
            "positions": self.positions,
            "weights": described(self.weights),
        }


def write_random_dinov2(folder: Path) -> str:
    """A small network with random weights, for examples; the file's path."""
    from ulzoo.metrics.networks.dinov2 import dinov2, small
    from ulzoo.weights.reading import random_tensors
    from ulzoo.weights.safetensors_file import write_safetensors

    path = folder / "dinov2.safetensors"
    made = random_tensors(lambda take: dinov2(take, depth=2, layout="dinov2", grid=2, offset=0.1), small)
    write_safetensors(path, made)
    return str(path)
