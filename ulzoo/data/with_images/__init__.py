"""Clips with images beside them: a model that is trained on both, in one program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field

from ulzoo.errors import InterfaceError
from ulzoo.spec.component import Component, ComponentOf

if TYPE_CHECKING:
    from ulzoo.data.source import Dataset, Source, Split
    from ulzoo.interfaces import DataIO


class WithImagesConfig(Component):
    """Clips, and beside each clip of training some images, as clips of one frame. Held-out records are clips
    alone."""

    type: Literal["ulzoo.with_images.v1"] = "ulzoo.with_images.v1"
    example: ClassVar = {
        "clips": {"type": "ulzoo.moving_digits.v1", "size": 16, "frames": 5, "digit_size": 8},
        "images": {"type": "ulzoo.digits.v1", "size": 16},
    }

    clips: Annotated[Component, ComponentOf("dataset")]
    """The dataset of clips."""

    images: Annotated[Component, ComponentOf("dataset")]
    """The dataset of images, or of clips of one frame, of the size and channels of a frame; with the same
    classes, or neither has any."""

    per_clip: Annotated[int, Field(ge=1, le=64)] = 1
    """Images beside each clip, drawn at random from the training images."""

    def io(self) -> DataIO:
        """As of the clips, with `stills`. Raises InterfaceError for images that are no frames of them."""
        from ulzoo.interfaces import DataIO

        clips, images = cast("Dataset", self.clips).io(), cast("Dataset", self.images).io()
        if len(clips.shape) != 4:
            text = f"{clips.shape} is no shape of clips: (channels, frames, height, width)"
            raise InterfaceError(text, "data.clips")
        channels, _, *sides = clips.shape
        if images.shape not in ((channels, *sides), (channels, 1, *sides)):
            text = f"{images.shape} is not {(channels, *sides)}, one frame of the clips"
            raise InterfaceError(text, "data.images")
        if images.num_classes != clips.num_classes:
            counts = f"{images.num_classes} classes, but the clips have {clips.num_classes}"
            raise InterfaceError(f"they have {counts}; they need the same ones", "data.images")
        return DataIO(clips.shape, clips.num_classes, self.per_clip)

    def open(self, split: Split) -> Source:
        """Opens the clips and, for training, the images."""
        from ulzoo.data.with_images.source import WithImagesSource

        self.io()
        clips = cast("Dataset", self.clips).open(split)
        if split != "train":
            return clips
        return WithImagesSource(clips, cast("Dataset", self.images).open(split), self.per_clip)
