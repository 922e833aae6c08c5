"""Checksums of the files below a directory: array storage returns flipped bits as wrong numbers, silently."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from ulzoo.atomic import write_atomic

NAME = "checksums.json"
_CHUNK = 1 << 22


def seal(directory: Path) -> None:
    """Writes the size and CRC-32 of every file below `directory` into its `checksums.json`, atomically.

    CRC-32 is against accidents, not against an attacker; it is several times faster than a hash, and here
    the training loop waits for it.
    """
    table = {name: [path.stat().st_size, _crc32(path)] for name, path in _files(directory).items()}
    write_atomic(directory / NAME, json.dumps(table, indent=0))


def damage(directory: Path, prefixes: tuple[str, ...] | None = None) -> list[str]:
    """What is wrong with the files of a sealed directory, one line each; empty if whole, or never sealed.

    Args:
        prefixes: look only into these top-level entries (None: all).
    """
    try:
        table = json.loads((directory / NAME).read_text())
        expected = {str(name): (int(size), int(crc)) for name, (size, crc) in table.items()}
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, AttributeError):
        return [f"{NAME}: unreadable"]
    lines = []
    for name, (size, crc) in expected.items():
        path = directory / name
        if prefixes is not None and Path(name).parts[0] not in prefixes:
            continue
        if not path.is_file():
            lines.append(f"{name}: missing")
        elif path.stat().st_size != size:
            lines.append(f"{name}: {path.stat().st_size} bytes, {size} were written")
        elif _crc32(path) != crc:
            lines.append(f"{name}: its content has changed")
    return lines


def _files(directory: Path) -> dict[str, Path]:
    found = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {path.relative_to(directory).as_posix(): path for path in found if path.name != NAME}


def _crc32(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc
