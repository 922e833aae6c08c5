"""A folder of pictures as a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from ulzoo.errors import DataError
from ulzoo.spec.component import Component

if TYPE_CHECKING:
    from ulzoo.data.source import Source, Split
    from ulzoo.interfaces import DataIO

DEFAULT_HELDOUT_FRACTION = 0.1
Side = Annotated[int, Field(ge=1, le=8192)]


class ImageFolderConfig(Component):
    """JPEG, PNG and WebP files of a folder, at any depth; each folder directly under the root may be a
    class."""

    type: Literal["ulzoo.image_folder.v1"] = "ulzoo.image_folder.v1"
    example: ClassVar = {"root": "photos", "size": 64, "classes": 2}

    root: Annotated[str, Field(min_length=1)]
    """Folder of the pictures; `~` is the home folder, a relative path starts at the working directory."""

    heldout_root: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the held-out pictures; without it a fraction of `root` is held out."""

    heldout_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Fraction of `root` that is held out, chosen by a hash of each relative path; 0.1 if neither this nor
    `heldout_root` is given."""

    size: Side | tuple[Side, Side]
    """Pixels of a side, or (height, width)."""

    crop: Literal["center", "random"] = "center"
    """Where the largest crop of the target's aspect ratio lies; held-out pictures are always cropped at the
    centre."""

    resize: Literal["box", "bilinear", "bicubic", "lanczos"] = "bicubic"
    """Resampling filter, antialiased when it reduces."""

    flip: bool = False
    """Mirror half of the training pictures left to right."""

    classes: Annotated[int, Field(ge=1)] | None = None
    """Number of class folders; if given, a check needs no folder, and a folder with another number is an
    error."""

    labels: Literal["folder", "none"] = "folder"
    """`folder`: the class of a picture is the folder directly under `root`; `none`: no labels."""

    channels: Literal[1, 3] = 3
    """1 (grey) or 3 (RGB)."""

    corrupt: Literal["error", "skip"] = "error"
    """What to do with a damaged file: stop and name it, or take the next picture in its place and count
    it."""

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
            raise ValueError(f"must be folder when classes is given, got {value!r}")
        return value

    @property
    def height_width(self) -> tuple[int, int]:
        """(h, w) of a record in pixels."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def io(self) -> DataIO:
        """Shape and number of classes; looks into `root` only if labels are wanted and `classes` is not
        given."""
        from ulzoo.data.listing import class_names, find_pictures
        from ulzoo.interfaces import DataIO

        classes = self.classes
        if classes is None and self.labels == "folder":
            root = folder(self.root)
            try:
                classes = len(class_names(find_pictures(root), root))
            except DataError as error:
                raise DataError(f"{error}; with the field `classes` a check needs no folder") from error
        return DataIO(shape=(self.channels, *self.height_width), num_classes=classes)

    def open(self, split: Split) -> Source:
        """Lists the folder and opens the split."""
        from ulzoo.data.folder_source import open_folder

        return open_folder(self, split)


def folder(path: str) -> Path:
    """The folder that a field names: `~` expanded, relative to the working directory."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"cannot expand {path!r}: {error}") from error
