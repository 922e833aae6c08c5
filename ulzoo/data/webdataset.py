"""Tar shards in the WebDataset layout as a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ulzoo.data.pictures import PictureDataset

if TYPE_CHECKING:
    from ulzoo.data.collection import Collection


class WebDatasetConfig(PictureDataset):
    """Tar shards in the WebDataset layout: files of one key make a record, `.jpg`, `.png` or `.webp` its
    picture, `.cls` its class, `.txt` its caption. Shards are indexed once, then read at random."""

    type: Literal["ulzoo.webdataset.v1"] = "ulzoo.webdataset.v1"
    example: ClassVar = {"root": "shards/*.tar", "size": 64, "classes": 2}

    def collect(self, root: str) -> Collection:
        """Indexes the shards: a file, a folder of `.tar` files, or a pattern with `*`."""
        from ulzoo.data.collections.tar_shards import TarCollection

        return TarCollection(root, labelled=self.labelled)
