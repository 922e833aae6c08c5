"""ArrayRecord shards of pictures as a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ulzoo.data.pictures import PictureDataset

if TYPE_CHECKING:
    from ulzoo.data.collection import Collection


class ArrayRecordConfig(PictureDataset):
    """ArrayRecord shards, as `ulzoo data prepare` writes them, or of records that are picture files."""

    type: Literal["ulzoo.array_record.v1"] = "ulzoo.array_record.v1"
    example: ClassVar = {"root": "prepared", "size": 64, "classes": 2}

    def collect(self, root: str) -> Collection:
        """Opens the shards: a file, a folder of `.array_record` files, or a pattern with `*`."""
        from ulzoo.data.collections.array_record import ArrayRecordCollection

        return ArrayRecordCollection(root, labelled=self.labelled)
