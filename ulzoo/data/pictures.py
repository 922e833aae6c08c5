"""What all datasets of pictures share: their fields, and how a collection of records becomes a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from ulzoo.errors import DataError
from ulzoo.spec.component import Component
from ulzoo.spec.effect import Effect, Later

if TYPE_CHECKING:
    from ulzoo.data.collection import Collection
    from ulzoo.data.source import Source, Split
    from ulzoo.interfaces import DataIO

DEFAULT_HELDOUT_FRACTION = 0.1
MAX_PIXELS = 89_478_485
"""Pillow's own bound: a quarter of a GiB of 24-bit pixels; more is taken for a bomb."""
Side = Annotated[int, Field(ge=1, le=8192)]


class PictureDataset(Component):
    """Fields of every dataset of stored pictures. A subclass adds `type`, `example`, fields of its own, and
    `collect`."""

    root: Annotated[str, Field(min_length=1)]
    """Where the pictures are; `~` is the home folder, a relative path starts at the working directory, and an
    address such as `gs://bucket/path` or `s3://bucket/path` is read through fsspec."""

    heldout_root: Annotated[str, Field(min_length=1)] | None = None
    """Where the held-out pictures are; without it a fraction of `root` is held out."""

    heldout_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Fraction of `root` that is held out, chosen by a hash of each record's name; 0.1 if neither this nor
    `heldout_root` is given."""

    size: Side | tuple[Side, Side]
    """Pixels of a side, or (height, width)."""

    crop: Literal["center", "random"] = "center"
    """Where the crop lies; held-out pictures are always cropped at the centre."""

    crop_size: Annotated[Side | tuple[Side, Side] | None, Later()] = None
    """Pixels of the original that a crop covers, a side or (height, width), as far as the picture reaches;
    null: the largest crop of the target's aspect ratio. Equal to `size`, nothing is resized."""

    resize: Literal["box", "bilinear", "bicubic", "lanczos"] = "bicubic"
    """Resampling filter, antialiased when it reduces."""

    flip: bool = False
    """Mirror half of the training pictures left to right."""

    classes: Annotated[int, Field(ge=1)] | None = None
    """Number of classes; if given, a check needs no data, and data with another number is an error."""

    labels: Literal["stored", "none"] = "stored"
    """`stored`: the class that is stored with each picture; `none`: no labels."""

    captions: Annotated[bool, Effect.PERFORMANCE] = False
    """Whether records have their captions, as the text `caption`, empty for a record without one."""

    channels: Literal[1, 3] = 3
    """1 (grey) or 3 (RGB)."""

    corrupt: Literal["error", "skip"] = "error"
    """What to do with a record that is damaged, of more than `max_pixels`, slower than `timeout`, or the end
    of the process that reads it: stop and name it, or take the next picture in its place and count it."""

    max_pixels: Annotated[int, Field(ge=1), Later()] = MAX_PIXELS
    """Pixels of a picture, width times height, above which it is not decoded and counts as damaged."""

    timeout: Annotated[float, Field(gt=0), Effect.PERFORMANCE] | None = None
    """Seconds after which a record that is still being read counts as damaged; null: wait, and say so after a
    minute."""

    @field_validator("heldout_fraction")
    @classmethod
    def _one_way_to_hold_out(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("heldout_root") is not None:
            raise ValueError(f"must not be given beside heldout_root, got {value}")
        return value

    @field_validator("labels")
    @classmethod
    def _no_idle_classes(cls, value: str, info: ValidationInfo) -> str:
        if value == "none" and info.data.get("classes") is not None:
            raise ValueError(
                f"must be {cls.model_fields['labels'].default} when classes is given, got {value!r}"
            )
        return value

    @property
    def height_width(self) -> tuple[int, int]:
        """(h, w) of a record in pixels."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @property
    def crop_height_width(self) -> tuple[int, int] | None:
        """(h, w) of a crop in pixels of the original, None for the largest."""
        return (self.crop_size, self.crop_size) if isinstance(self.crop_size, int) else self.crop_size

    @property
    def labelled(self) -> bool:
        """Whether records have labels."""
        return self.labels != "none"

    def collect(self, root: str) -> Collection:
        """The records at a place, `root` or `heldout_root`.

        Raises:
            DataError: there are none, or they cannot be read.
        """
        raise NotImplementedError

    def io(self) -> DataIO:
        """Shape and number of classes; looks at the data only if labels are wanted and `classes` is not
        given."""
        from ulzoo.interfaces import DataIO

        classes = self.classes
        if classes is None and self.labelled:
            try:
                classes = self.collect(self.root).num_classes
                if classes is None:
                    raise DataError(f"{self.root!r} does not say how many classes it has")
            except DataError as error:
                raise DataError(
                    f"{error}; with the field `classes` a check needs no {self._place}"
                ) from error
        return DataIO(shape=(self.channels, *self.height_width), num_classes=classes)

    def open(self, split: Split) -> Source:
        """Opens the records and chooses those of the split."""
        from ulzoo.data.picture_source import open_pictures

        return open_pictures(self, split)

    _place: ClassVar[str] = "data"
