"""A zip archive of pictures as a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ulzoo.data.pictures import PictureDataset

if TYPE_CHECKING:
    from ulzoo.data.collection import Collection


class ZipConfig(PictureDataset):
    """JPEG, PNG and WebP files in a zip archive, read in place; each folder at its top may be a class."""

    type: Literal["ulzoo.zip.v1"] = "ulzoo.zip.v1"
    example: ClassVar = {"root": "photos.zip", "size": 64, "classes": 2}

    labels: Literal["folder", "none"] = "folder"  # type: ignore[assignment]
    """`folder`: the class of a picture is its first folder in the archive; `none`: no labels."""

    _place: ClassVar[str] = "archive"

    def collect(self, root: str) -> Collection:
        """Reads the archive's directory."""
        from ulzoo.data.collections.zip_archive import ZipCollection

        return ZipCollection(root, labelled=self.labelled, captioned=self.captions)
