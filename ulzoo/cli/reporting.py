"""How a mistake of the user, certain or likely, is told."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ulzoo.errors import UlzooError

if TYPE_CHECKING:
    from ulzoo.rules import SpecWarning


def report(error: UlzooError) -> None:
    """On standard error, without a traceback."""
    print(error, file=sys.stderr, flush=True)


def warn(warnings: Iterable[SpecWarning]) -> None:
    """On standard error, a line each."""
    for warning in warnings:
        print(warning, file=sys.stderr, flush=True)


def note(text: str) -> None:
    """What a user may want to know and need not act on: on standard error, beside the output."""
    print(f"note: {text}", file=sys.stderr, flush=True)
