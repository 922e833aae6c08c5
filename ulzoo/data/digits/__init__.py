"""Handwritten digits that come with the package: 1,797 pictures of 8×8, 17 grey levels, ten classes.

E. Alpaydin, C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository, 1998,
doi 10.24432/C50P49, CC BY 4.0. The README beside this file tells the origin and the split.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ulzoo.spec.component import Component

if TYPE_CHECKING:
    from ulzoo.data.source import Source, Split
    from ulzoo.interfaces import DataIO


class DigitsConfig(Component):
    """UCI handwritten digits, shipped with the package: 1,438 training and 359 held-out pictures of ten
    classes."""

    type: Literal["ulzoo.digits.v1"] = "ulzoo.digits.v1"

    size: Annotated[int, Field(ge=8, le=256)] = 16
    """Side in pixels; the 8×8 originals are enlarged with a bicubic filter."""

    def io(self) -> DataIO:
        """One grey channel, `size` × `size`, ten classes."""
        from ulzoo.interfaces import DataIO

        return DataIO(shape=(1, self.size, self.size), num_classes=10)

    def open(self, split: Split) -> Source:
        """The whole split, resized once and held in memory (`size`² bytes a picture)."""
        from ulzoo.data.digits.source import DigitsSource

        return DigitsSource(split, self.size)
