"""What a spec sees of the shapes. Loads no JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ulzoo.spec import Component

if TYPE_CHECKING:
    from ulzoo.data.source import Source, Split
    from ulzoo.interfaces import DataIO


class ShapesConfig(Component):
    """Discs, squares and crosses of random place, size and brightness; three classes."""

    type: Literal["example.shapes.v1"] = "example.shapes.v1"

    size: int = Field(default=16, ge=8, le=512)
    """Side in pixels."""
    count: int = Field(default=2048, ge=1)
    """Pictures for training; a quarter as many are held out."""

    def io(self) -> DataIO:
        """One grey channel, `size` × `size`, three classes."""
        from ulzoo.interfaces import DataIO

        return DataIO(shape=(1, self.size, self.size), num_classes=3)

    def open(self, split: Split) -> Source:
        from ulzoo_example.shapes.source import Shapes

        return Shapes(self, split)
