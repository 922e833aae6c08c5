"""The field `features` of metrics that look through I3D."""

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


class I3DFeatures(SpecModel):
    """I3D trained on Kinetics-400, RGB: its 400 logits, as the Fréchet video distance was defined."""

    weights: Annotated[str, Field(min_length=1)]
    """File of its weights, as pytorch-i3d or kinetics_i3d_pytorch publish them, or the same arrays as
    safetensors; `~` is the home folder, a relative path starts at the working directory."""

    resize: Literal["tensorflow", "pytorch"] = "tensorflow"
    """Frames to 224 × 224 pixels, bilinear, not antialiased, whatever their aspect ratio. `tensorflow`:
    pixels not centred, as the first implementation; `pytorch`: centred."""

    batch_size: Annotated[int, Field(gt=0, le=1024), Effect.PERFORMANCE] = 8
    """Clips at a time; changes no number beyond float32's rounding."""

    def check(self, io: DataIO | None) -> None:
        """Raises InterfaceError, with its place, for data that are no clips or too short ones, and for a file
        that does not hold this network."""
        from ulzoo.metrics.networks.i3d import LEAST_FRAMES, SPARE, i3d_of
        from ulzoo.weights.reading import WeightsFile, taken

        if io is not None and (len(io.shape) != 4 or io.shape[0] not in (1, 3)):
            raise InterfaceError(f"this network sees clips with 1 or 3 channels; the data are {io.shape}")
        if io is not None and io.shape[1] < LEAST_FRAMES:
            raise InterfaceError(f"this network sees {LEAST_FRAMES} frames or more; a clip has {io.shape[1]}")
        with inside("features"):
            try:
                file = WeightsFile.open(self.weights)
                taken(file, i3d_of(file.entries), values=False, spare=SPARE)
            except DataError as error:
                raise InterfaceError(str(error), "weights") from error

    def open(self) -> Reader:
        """`logits` and `pool` of the clips of a batch."""
        from ulzoo.metrics.networks.clip_readers import i3d_reader

        return i3d_reader(self.weights, self.resize, self.batch_size)

    def protocol(self) -> Mapping[str, Any]:
        """Which weights, and how frames came to the network's size."""
        from ulzoo.metrics.networks.readers import described

        weights = described(self.weights)
        return {"network": "I3D Kinetics-400", "layer": "logits", "resize": self.resize, "weights": weights}


def clip_protocol(io: DataIO | None, given: int) -> dict[str, Any]:
    """What a protocol says of the clips themselves; how they are cut from videos is among the data's."""
    shape = {} if io is None else dict(zip(("frames", "height", "width"), io.shape[1:], strict=True))
    return {"clips": {**shape, "given_frames": given, "re-encoding": "none"}}


def write_random_i3d(folder: Path) -> str:
    """A small network of the same graph with random weights, for examples; the file's path."""
    from ulzoo.metrics.networks.i3d import i3d, narrow
    from ulzoo.weights.reading import random_tensors
    from ulzoo.weights.safetensors_file import write_safetensors

    path = folder / "i3d.safetensors"
    write_safetensors(path, random_tensors(i3d, narrow(32)))
    return str(path)
