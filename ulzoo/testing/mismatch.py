"""What a check says when a component does not keep a promise."""

from __future__ import annotations

from typing import Any


class Mismatch(Exception):
    """A promise and what came instead; each completes the sentence `expected …, got …`."""

    def __init__(self, expected: str, got: str) -> None:
        self.expected, self.got = expected, got
        super().__init__(f"expected {expected}, got {got}")


def require(condition: Any, expected: str, got: object) -> None:
    """Raises Mismatch unless `condition` holds."""
    if not condition:
        raise Mismatch(expected, str(got))
