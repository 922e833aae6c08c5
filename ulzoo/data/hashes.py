"""SHA-256 of every record by its name, as `sha256sum` writes it, and what has changed since.

A fingerprint knows of a folder's files no more than names and sizes, for it must cost next to nothing. This
is the thorough way, which reads everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ulzoo.data.storage import local
from ulzoo.errors import DataError

FILE = "sha256.txt"
_DIGITS = 64


def line(name: str, digest: str) -> str:
    """One record's line with its line break; line breaks and backslashes in names as GNU's tool has them."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}\n"


@dataclass
class Changes:
    """Records beside those of an earlier list.

    Attributes:
        before: name → hash, of those that have not come yet.
        changed: names of records with other bytes.
        new: names that were not there.
    """

    before: dict[str, str]
    changed: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    @classmethod
    def since(cls, place: str) -> Changes:
        """What an earlier list says.

        Args:
            place: the file, or the folder that `ulzoo data check --out` made.

        Raises:
            DataError: no such file, or no list of hashes.
        """
        path = local(place)
        path = path / FILE if path.is_dir() else path
        return cls(dict(_read(path)))

    def meet(self, name: str, digest: str) -> None:
        """A record that is there now, each once."""
        before = self.before.pop(name, None)
        if before is None:
            self.new.append(name)
        elif before != digest:
            self.changed.append(name)

    @property
    def gone(self) -> list[str]:
        """Once all have been met: names that are no longer there, or cannot be read."""
        return list(self.before)

    def __bool__(self) -> bool:
        return bool(self.changed or self.new or self.before)


def _read(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            for number, text in enumerate(file, start=1):
                escaped = text.startswith("\\")
                digest, gap, name = text.removeprefix("\\").rstrip("\n").partition("  ")
                if not gap or len(digest) != _DIGITS or set(digest) - set("0123456789abcdef"):
                    raise DataError(f"{str(path)!r} is no list of hashes: line {number} is {text[:80]!r}")
                yield (_unescaped(name) if escaped else name), digest
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def _unescaped(name: str) -> str:
    parts = name.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\r", "\r") for part in parts)
