"""Numbers with units, for reading."""

from __future__ import annotations


def size(count: float) -> str:
    """Bytes in binary units: 1536 → `1.5 KiB`."""
    for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        if count >= 1024**power:
            return f"{count / 1024**power:.3g} {letter}iB"
    return f"{count:.0f} B"


def amount(count: float) -> str:
    """A number with a decimal prefix, for a unit to follow: 12_300_000 → `12.3 M`."""
    for magnitude, letter in (
        (1e21, "Z"),
        (1e18, "E"),
        (1e15, "P"),
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
    ):
        if count >= magnitude:
            return f"{count / magnitude:.3g} {letter}"
    return f"{count:.3g} "


def duration(seconds: float) -> str:
    """A span of time in the unit that it is best read in."""
    for length, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "min"), (1.0, "s")):
        if seconds >= 2 * length or (unit == "s" and seconds >= 1):
            return f"{seconds / length:.3g} {unit}"
    return f"{1e3 * seconds:.3g} ms"
