"""Number formats, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ulzoo.spec.component import SpecModel

NumberFormat = Literal["float32", "bfloat16"]


class Precision(SpecModel):
    """Number formats of a training step. Losses, EMA and optimiser are float32 in any case."""

    compute: NumberFormat = Field(default="float32")
    """In which networks compute, and in which parameters are sent around."""

    params: NumberFormat = Field(default="float32")
    """In which parameters are kept between steps. In bfloat16, updates below 1/256 of a weight are lost."""

    reduction: NumberFormat = Field(default="float32")
    """In which gradients of micro-batches are added, and handed to the optimiser."""
