"""Records written as ArrayRecord shards with a manifest: resumable shard by shard, whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ulzoo.atomic import write_atomic
from ulzoo.data.collection import Names
from ulzoo.data.collections.array_record import INDEX, SUFFIX, pack
from ulzoo.errors import DataError

MANIFEST = "manifest.json"
UNFINISHED = "unfinished.json"
"""What the shards of a folder without a manifest are being made from."""
_FACTS = ".json"


@dataclass(frozen=True)
class Written:
    """One record to be written.

    Attributes:
        name: of the record.
        payload: the picture's file, or whatever the reader knows.
        label, caption: of the record, None without.
        numbers: added up over all records of a shard, for the manifest; of those called `least_…` and
            `most_…` the least and the most is kept, tables are added up by their keys, lists by their places.
    """

    name: str
    payload: bytes
    label: int | None = None
    caption: str | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)


Skipped = tuple[str, str]
"""Name of a record that could not be written, and why."""


def spans(count: int, shards: int) -> list[range]:
    """`count` records in `shards` pieces of equal size, as near as can be."""
    return [range(count * i // shards, count * (i + 1) // shards) for i in range(shards)]


def write_shards(
    out: Path,
    identity: Mapping[str, Any],
    count: int,
    shards: int,
    records: Callable[[range], Iterable[Written | Skipped]],
    advance: Callable[[int], object] = lambda steps: None,
) -> list[dict[str, Any]]:
    """Write the shards that are not there yet, and return the facts of all.

    Args:
        out: a folder: new, empty, or with some of the shards of an interrupted call.
        identity: plain data; what the records are a function of. An interrupted call goes on only if it is
            the same.
        count: records before any is skipped.
        records: gives those of a range of indices, in order.
        advance: told how many records are done.

    Returns:
        for each shard: `file`, `records`, `bytes`, `sha256`, `skipped` (name → reason) and sums of `numbers`.

    Raises:
        DataError: the folder holds something else, or belongs to another identity; says what differs.
    """
    if not 1 <= shards <= max(count, 1):
        raise DataError(f"{count} records make 1 to {max(count, 1)} shards, not {shards}")
    _claim(out, {**identity, "records": count, "shards": shards})
    found = []
    for number, indices in enumerate(spans(count, shards)):
        stem = f"data-{number:05d}-of-{shards:05d}"
        facts = _finished(out, stem)
        if facts is None:
            facts = _write(out, stem, records(indices), advance)
        else:
            advance(len(indices))
        found.append(facts)
    return found


def total(shards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums over shards of what `Written.numbers` gave."""
    sums: dict[str, Any] = {}
    for facts in shards:
        _add(sums, facts["sums"])
    return sums


def finish(out: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest: from now on the folder is whole."""
    write_atomic(out / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    (out / UNFINISHED).unlink(missing_ok=True)
    for path in out.glob(f"data-*{_FACTS}"):
        path.unlink()


def is_finished(folder: Path) -> bool:
    """Whether a folder was written to its end."""
    return (folder / MANIFEST).exists()


def kind_of(folder: Path) -> str | None:
    """What the manifest of a folder calls its records; None without one."""
    try:
        kind = load_manifest(folder).get("kind")
    except DataError:
        return None
    return kind if isinstance(kind, str) else None


def load_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder.

    Raises:
        DataError: there is none, or it is damaged; tells an interrupted folder from another one.
    """
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (folder / UNFINISHED).exists():
            raise DataError(f"{str(folder)!r} is not finished; give the same command again") from None
        raise DataError(f"{str(folder)!r} holds no {MANIFEST}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{str(folder / MANIFEST)!r} is damaged: {error}") from error
    if not isinstance(data, dict):
        raise DataError(f"{str(folder / MANIFEST)!r} is damaged: not a table")
    return data


def damage(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """What is wrong with the shards that a manifest names, one line each."""
    lines = []
    for facts in manifest.get("shards", ()):
        path = folder / str(facts["file"])
        if not path.is_file():
            lines.append(f"{path.name}: missing")
        elif path.stat().st_size != facts["bytes"]:
            lines.append(f"{path.name}: {path.stat().st_size} bytes, {facts['bytes']} were written")
        elif sha256(path) != facts["sha256"]:
            lines.append(f"{path.name}: its content has changed")
    return lines


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(shards: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 (hex) over the shards' own."""
    return hashlib.sha256("".join(str(facts["sha256"]) for facts in shards).encode()).hexdigest()


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """`path: a, not b` for each value in which two pieces of plain data differ; `a` is of `one`."""
    for key in sorted({*one, *other}):
        a, b = one.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from differences(a, b, f"{prefix}{key}.")
        elif a != b:
            yield f"{prefix}{key}: {_short(a)}, not {_short(b)}"


def _short(value: Any) -> str:
    text = (
        value[:12] if isinstance(value, str) and len(value) == 64 else json.dumps(value, ensure_ascii=False)
    )
    return text if len(text) < 80 else f"{text[:77]}…"


def _claim(out: Path, identity: dict[str, Any]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in out.iterdir()}
    except OSError as error:
        raise DataError(f"cannot write to {str(out)!r}: {error.strerror}") from error
    identity = json.loads(json.dumps(identity))
    if MANIFEST in there:
        raise DataError(f"{str(out)!r} is finished already; choose another folder")
    if UNFINISHED in there:
        try:
            begun = json.loads((out / UNFINISHED).read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{str(out / UNFINISHED)!r} is damaged: {error}") from error
        lines = list(differences(begun, identity))
        if lines:
            told = "".join(f"\n    {line}" for line in lines)
            raise DataError(f"{str(out)!r} was begun from something else; choose another folder{told}")
        return
    if there:
        raise DataError(f"{str(out)!r} is not empty; choose another folder")
    write_atomic(out / UNFINISHED, json.dumps(identity, indent=2, ensure_ascii=False) + "\n")


def _finished(out: Path, stem: str) -> dict[str, Any] | None:
    """The facts of a shard that is whole, else None. The facts are written last."""
    try:
        facts = json.loads((out / f"{stem}{_FACTS}").read_text(encoding="utf-8"))
        whole = (out / facts["file"]).stat().st_size == facts["bytes"] and (out / f"{stem}{INDEX}").exists()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return facts if whole else None


def _write(
    out: Path, stem: str, records: Iterable[Written | Skipped], advance: Callable[[int], object]
) -> dict[str, Any]:
    from array_record.python.array_record_module import ArrayRecordWriter

    temporary = out / f".{stem}{SUFFIX}.{os.getpid()}"
    names: list[str] = []
    labels: list[int] = []
    skipped: dict[str, str] = {}
    sums: dict[str, Any] = {}
    # Groups of one: any other size makes random access read several records for one. Pictures are compressed
    # already.
    writer = ArrayRecordWriter(str(temporary), "group_size:1,uncompressed")
    try:
        for record in records:
            if isinstance(record, tuple):
                skipped[record[0]] = record[1]
            else:
                kept = {"name": record.name, "label": record.label, "caption": record.caption}
                writer.write(pack(record.payload, **kept))
                names.append(record.name)
                labels.append(-1 if record.label is None else record.label)
                _add(sums, record.numbers)
            advance(1)
        writer.close()
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        size, digest = temporary.stat().st_size, sha256(temporary)
        index = out / f".{stem}{INDEX}.{os.getpid()}.npz"
        np.savez(index, labels=np.array(labels, np.int32), **Names.of(names).arrays())  # type: ignore[arg-type]
        index.replace(out / f"{stem}{INDEX}")
        temporary.replace(out / f"{stem}{SUFFIX}")
    except BaseException:
        if writer.is_open():
            writer.close()
        temporary.unlink(missing_ok=True)
        raise
    facts: dict[str, Any] = {
        "file": f"{stem}{SUFFIX}",
        "records": len(names),
        "bytes": size,
        "sha256": digest,
        "skipped": skipped,
        "sums": sums,
    }
    write_atomic(out / f"{stem}{_FACTS}", json.dumps(facts, ensure_ascii=False))
    return facts


def _add(sums: dict[str, Any], numbers: Mapping[str, Any]) -> None:
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            _add(sums.setdefault(name, {}), value)
        elif name not in sums:
            sums[name] = value
        elif isinstance(value, list):
            sums[name] = [a + b for a, b in zip(sums[name], value, strict=True)]
        elif name.startswith("least_"):
            sums[name] = min(sums[name], value)
        elif name.startswith("most_"):
            sums[name] = max(sums[name], value)
        else:
            sums[name] += value
