"""The field `features` of metrics that look through the Inception network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from ulzoo.errors import DataError, InterfaceError, inside
from ulzoo.spec.component import SpecModel
from ulzoo.spec.effect import Effect

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.collecting import Reader


class InceptionFeatures(SpecModel):
    """The Inception network of 2015 that FID is defined by: 2048 features and 1008 logits."""

    weights: Annotated[str, Field(min_length=1)]
    """File of its weights, as pytorch-fid and torch-fidelity publish them, or the same arrays as safetensors;
    `~` is the home folder, a relative path starts at the working directory."""

    resize: Literal["tensorflow", "pytorch", "clean"] = "tensorflow"
    """To 299 pixels. `tensorflow`: bilinear, not antialiased, pixels not centred, as the first
    implementation and torch-fidelity; `pytorch`: bilinear, not antialiased, as pytorch-fid; `clean`:
    bicubic, antialiased, as clean-fid."""

    batch_size: Annotated[int, Field(gt=0, le=4096), Effect.PERFORMANCE] = 32
    """Images at a time; changes no number beyond float32's rounding."""

    def check(self, io: DataIO | None) -> None:
        """Raises InterfaceError, with its place, for data that are no pictures and for a file that does not
        hold this network."""
        from ulzoo.metrics.networks.inception import SPARE, inception
        from ulzoo.weights.reading import WeightsFile, taken

        check_pictures(io)
        with inside("features"):
            try:
                taken(WeightsFile.open(self.weights), inception, values=False, spare=SPARE)
            except DataError as error:
                raise InterfaceError(str(error), "weights") from error

    def dimensions(self) -> int:
        """Length of `pool`: 2048 of the network that is published."""
        from ulzoo.metrics.networks.inception import SPARE, inception
        from ulzoo.metrics.networks.readers import pool_length
        from ulzoo.weights.reading import WeightsFile, taken

        return pool_length(taken(WeightsFile.open(self.weights), inception, values=False, spare=SPARE))

    def open(self) -> Reader:
        """`pool` and `logits` of the images of a batch."""
        from ulzoo.metrics.networks.readers import inception_reader

        return inception_reader(self.weights, self.resize, self.batch_size)

    def protocol(self) -> Mapping[str, Any]:
        """Which weights, and how images came to the network's size."""
        from ulzoo.metrics.networks.readers import described

        return {"network": "Inception 2015", "resize": self.resize, "weights": described(self.weights)}


def check_pictures(io: DataIO | None) -> None:
    """Raises InterfaceError for data other than grey or RGB images, such as video."""
    if io is not None and (len(io.shape) != 3 or io.shape[0] not in (1, 3)):
        raise InterfaceError(f"this network sees images with 1 or 3 channels; the data are {io.shape}")


def write_random_inception(folder: Path) -> str:
    """A small network of the same graph with random weights, for examples; the file's path."""
    from ulzoo.metrics.networks.inception import inception, narrow
    from ulzoo.weights.reading import random_tensors
    from ulzoo.weights.safetensors_file import write_safetensors

    path = folder / "inception.safetensors"
    write_safetensors(path, random_tensors(inception, narrow(32)))
    return str(path)
