"""The window of structural similarity, as a field of metrics and held against data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from ulzoo.errors import InterfaceError

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"must be odd, got {value}")
    return value


WindowSide = Annotated[int, Field(ge=3, le=99), AfterValidator(_odd)]
"""Pixels."""


def check_window(window: int, io: DataIO | None, what: str) -> None:
    """Raises InterfaceError for data whose images or frames, as `what` calls them, are smaller."""
    if io is not None and min(io.shape[-2:]) < window:
        height, width = io.shape[-2:]
        raise InterfaceError(f"a window of {window} pixels on {what} of {height} × {width}", "window")
