"""How a mistake of the user is told."""

from __future__ import annotations

import sys

from ulzoo.errors import UlzooError


def report(error: UlzooError) -> None:
    """On standard error, without a traceback; nothing if all of it was told before."""
    if text := str(error):
        print(text, file=sys.stderr, flush=True)
