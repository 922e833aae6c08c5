"""Real handwritten digits that move in straight lines and bounce off the edges: the built-in video set.

After the idea of Moving MNIST (Srivastava et al. 1502.04681), with the digits that come with the package,
and with places between pixels, so that motion is smooth at any speed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from ulzoo.spec.component import Component

if TYPE_CHECKING:
    from ulzoo.data.source import Source, Split
    from ulzoo.interfaces import DataIO

Side = Annotated[int, Field(ge=8, le=256)]


class MovingDigitsConfig(Component):
    """Clips of moving digits: 1,438 digits for training, each visit with a new motion; 359 held-out clips of
    other digits."""

    type: Literal["ulzoo.moving_digits.v1"] = "ulzoo.moving_digits.v1"

    size: Side = 32
    """Side of a frame in pixels."""

    frames: Annotated[int, Field(ge=1, le=1024)] = 16
    """Frames of a clip."""

    digit_size: Side = 16
    """Side of a digit in pixels, at most `size`; the 8×8 originals are enlarged with a bicubic filter."""

    digits: Annotated[int, Field(ge=1, le=8)] = 1
    """Digits in a clip; where they meet, the brighter one is seen. A clip of one digit is labelled with it;
    clips of several have no label."""

    speed: tuple[Annotated[float, Field(ge=0, le=64)], Annotated[float, Field(ge=0, le=64)]] = (0.5, 2.0)
    """Least and greatest speed in pixels per frame; the direction is any."""

    @model_validator(mode="after")
    def _fits(self) -> MovingDigitsConfig:
        if self.digit_size > self.size:
            raise ValueError(f"digit_size must be at most size = {self.size}, got {self.digit_size}")
        if self.speed[0] > self.speed[1]:
            raise ValueError(f"speed: the least must not exceed the greatest, got {list(self.speed)}")
        return self

    def io(self) -> DataIO:
        """One grey channel, `frames` × `size` × `size`; ten classes for clips of one digit."""
        from ulzoo.interfaces import DataIO

        return DataIO((1, self.frames, self.size, self.size), 10 if self.digits == 1 else None)

    def open(self, split: Split) -> Source:
        """The split's digits, resized once and held in memory; clips are drawn when asked for."""
        from ulzoo.data.moving_digits.source import MovingDigitsSource

        return MovingDigitsSource(self, split)
