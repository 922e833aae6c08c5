"""Parquet files in the layout of Hugging Face datasets as a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from ulzoo.data.pictures import PictureDataset

if TYPE_CHECKING:
    from ulzoo.data.collection import Collection


class ParquetConfig(PictureDataset):
    """Parquet files in the layout of Hugging Face datasets: rows with a picture file in a column of bytes, or
    of structs with `bytes`. Needs the extra `parquet`."""

    type: Literal["ulzoo.parquet.v1"] = "ulzoo.parquet.v1"
    example: ClassVar = {"root": "data/train-*.parquet", "size": 64, "classes": 2}

    image_column: Annotated[str, Field(min_length=1)] = "image"
    """Column of the pictures."""

    label_column: Annotated[str, Field(min_length=1)] = "label"
    """Column of the classes, whole numbers from 0; not looked at with `labels: none`."""

    caption_column: Annotated[str, Field(min_length=1)] | None = None
    """Column of texts, which `ulzoo data prepare` and `ulzoo encode` keep; null: none."""

    def collect(self, root: str) -> Collection:
        """Opens the files: one, a folder of `.parquet` files, or a pattern with `*`."""
        from ulzoo.data.collections.parquet import ParquetCollection

        return ParquetCollection(
            root,
            image=self.image_column,
            label=self.label_column if self.labelled else None,
            caption=self.caption_column,
        )
