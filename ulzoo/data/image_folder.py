"""A folder of pictures as a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ulzoo.data.pictures import PictureDataset

if TYPE_CHECKING:
    from ulzoo.data.collection import Collection


class ImageFolderConfig(PictureDataset):
    """JPEG, PNG and WebP files of a folder, at any depth; each folder directly under the root may be a
    class."""

    type: Literal["ulzoo.image_folder.v1"] = "ulzoo.image_folder.v1"
    example: ClassVar = {"root": "photos", "size": 64, "classes": 2}

    labels: Literal["folder", "none"] = "folder"  # type: ignore[assignment]
    """`folder`: the class of a picture is the folder directly under `root`; `none`: no labels."""

    _place: ClassVar[str] = "folder"

    def collect(self, root: str) -> Collection:
        """Lists the folder; a long listing is kept until a folder changes."""
        from ulzoo.data.collections.folder import FolderCollection

        return FolderCollection(root, labelled=self.labelled, captioned=self.captions)
