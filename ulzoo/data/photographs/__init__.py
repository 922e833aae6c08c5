"""Crops of eight photographs that scikit-image ships; no network, no copy of them here.

All are in the public domain or under CC0, as scikit-image's documentation of each says. Two are held out, so
that held-out numbers are of pictures that training has not seen any part of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from ulzoo.spec.component import Component

if TYPE_CHECKING:
    from ulzoo.data.source import Source, Split
    from ulzoo.interfaces import DataIO

SMALLEST = 300
"""Pixels of the shortest side of any of the photographs."""


class PhotographsConfig(Component):
    """Crops of photographs that scikit-image ships (extra `photographs`): six for training and two held out
    in grey, three and one in colour. A record is a tile; training crops the same photograph anywhere."""

    type: Literal["ulzoo.photographs.v1"] = "ulzoo.photographs.v1"

    size: Annotated[int, Field(ge=8, le=128)] = 32
    """Side of a crop in pixels."""

    channels: Literal[1, 3] = 3
    """1: luma of all eight photographs; 3: RGB of the four that have colour."""

    reduce: Annotated[int, Field(ge=1, le=4)] = 1
    """Photographs are made smaller by this factor first, each pixel the mean of a square. The shortest side
    of any is of 300 pixels, so `size` times this is at most 300."""

    flip: bool = True
    """Mirror half of the training crops left to right."""

    @model_validator(mode="after")
    def _fits(self) -> PhotographsConfig:
        if self.size * self.reduce > SMALLEST:
            raise ValueError(f"size times reduce must be at most {SMALLEST}, got {self.size} × {self.reduce}")
        return self

    def io(self) -> DataIO:
        """No classes."""
        from ulzoo.interfaces import DataIO

        return DataIO(shape=(self.channels, self.size, self.size), num_classes=None)

    def open(self, split: Split) -> Source:
        """Reads the split's photographs into memory (1.3 MB in grey, 1.9 MB in colour).

        Raises:
            DataError: scikit-image is not installed, or brings other pictures.
        """
        from ulzoo.data.photographs.source import PhotographsSource

        return PhotographsSource(self, split)
