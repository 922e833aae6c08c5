"""Reads all of a collection and says what is in it: what is damaged, small or unusual, by name."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ulzoo.data.ahead import in_order
from ulzoo.data.collection import Collection, Picture
from ulzoo.data.decode import CorruptImage, decode
from ulzoo.data.facts import ODDITIES, Facts, examine
from ulzoo.data.hashes import Changes
from ulzoo.data.pictures import MAX_PIXELS
from ulzoo.data.pipeline import spread
from ulzoo.data.videos.facts import examine_clip
from ulzoo.data.videos.files import Videos
from ulzoo.images import grid

THUMBS, THUMB, COLUMNS = 64, 96, 8
_SHOWN = 10


@dataclass
class Survey:
    """What was found.

    Attributes:
        where: the collection.
        records: how many it holds.
        damaged: name → reason.
        tiny: names of sound pictures with a side below `tiny_below` pixels.
        odd: oddity → names.
        per_class: class → records; of damaged ones too where their class is known.
        unlabelled, captions: records without a label, with a caption.
        formats: format → records.
        sides: the shorter sides of all sound pictures, int32.
        bytes: of all pictures as they are stored.
        seconds: the reading took.
        sheet: a contact sheet, uint8 (h, w, 3), of pictures spread evenly; None if none is sound.
        shards: what is wrong with shards that a manifest names.
        sha256: over names and bytes of all records that could be read, in order.
        changes: beside an earlier list of hashes; None where there was none to compare with.
    """

    where: str
    records: int
    tiny_below: int
    damaged: dict[str, str] = field(default_factory=dict)
    tiny: list[str] = field(default_factory=list)
    odd: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in ODDITIES})
    per_class: Counter[int] = field(default_factory=Counter)
    class_names: tuple[str, ...] | None = None
    unlabelled: int = 0
    captions: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    sides: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    bytes: int = 0
    seconds: float = 0.0
    sheet: np.ndarray | None = None
    shards: list[str] = field(default_factory=list)
    sha256: str = ""
    changes: Changes | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged, or other than it was."""
        return not self.damaged and not self.shards and not self.changes

    def as_dict(self) -> dict[str, Any]:
        """Everything but the sheet, as JSON data."""
        return {
            "where": self.where,
            "records": self.records,
            "damaged": self.damaged,
            "damaged_shards": self.shards,
            "tiny": {"below": self.tiny_below, "names": self.tiny},
            "odd": self.odd,
            "per_class": {self._class(k): n for k, n in sorted(self.per_class.items())},
            "unlabelled": self.unlabelled,
            "captions": self.captions,
            "formats": dict(self.formats),
            "shorter_side": self._sides(),
            "bytes": self.bytes,
            "sha256": self.sha256,
            **self._changes(),
            "seconds": self.seconds,
        }

    def lines(self) -> list[str]:
        """What is printed."""
        seconds, size = max(self.seconds, 1e-9), self.bytes / 1e6
        formats = ", ".join(f"{count} {name}" for name, count in self.formats.most_common())
        out = [
            f"{self.where}: {self.records} records, {size:.1f} MB ({formats or 'nothing sound'})",
            f"read in {seconds:.1f} s: {self.records / seconds:.0f} records/s, {size / seconds:.1f} MB/s",
        ]
        if len(self.sides):
            sides = self._sides()
            out.append(
                f"shorter side: {sides['least']} to {sides['most']} pixels, median {sides['median']:g}"
            )
        out += [f"damaged shard: {line}" for line in self.shards]
        out += _named("damaged", [f"{name} ({why})" for name, why in self.damaged.items()])
        out += _named(f"tiny (a side below {self.tiny_below})", self.tiny)
        for name, names in self.odd.items():
            out += _named(name, names)
        if self.per_class:
            out.append(self._balance())
        if self.unlabelled and self.per_class:
            out.append(f"without a class: {self.unlabelled}")
        out.append(f"captions: {self.captions}")
        out.append(f"content: sha256 {self.sha256}")
        if (since := self.changes) is not None:
            out += _named("changed since", since.changed)
            out += _named("new since", since.new)
            out += _named("gone since, or not to be read", since.gone)
            out += [] if since else ["nothing has changed since"]
        return out

    def _changes(self) -> dict[str, list[str]]:
        since = self.changes
        return {} if since is None else {"changed": since.changed, "new": since.new, "gone": since.gone}

    def _balance(self) -> str:
        order = self.per_class.most_common()
        shown = [f"{self._class(k)} {n}" for k, n in order]
        if len(shown) > 2 * _SHOWN:
            shown = [*shown[:_SHOWN], "…", *shown[-_SHOWN:]]
        ratio = order[0][1] / order[-1][1]
        return f"classes: {len(order)}, the largest {ratio:.3g} times the smallest: {', '.join(shown)}"

    def _class(self, number: int) -> str:
        names = self.class_names
        return names[number] if names is not None and number < len(names) else str(number)

    def _sides(self) -> dict[str, float]:
        if not len(self.sides):
            return {}
        low, high = int(self.sides.min()), int(self.sides.max())
        return {"least": low, "median": float(np.median(self.sides)), "most": high}


def survey(
    collection: Collection,
    *,
    tiny: int = 32,
    max_pixels: int = MAX_PIXELS,
    threads: int = 2,
    advance: Callable[[int], object] = lambda steps: None,
    hashed: Callable[[str, str], object] = lambda name, digest: None,
    changes: Changes | None = None,
) -> Survey:
    """Reads every record, each to its last pixel.

    Args:
        tiny: pixels below which a side is too short.
        max_pixels: of a picture, above which it counts as damaged.
        threads: that read.
        hashed: told name and SHA-256 (hex) of every record that could be read, in order.
        changes: earlier hashes, to be compared with.
        advance: told how many records are done.

    Raises:
        DataError: the collection itself cannot be read.
    """
    found = Survey(collection.where, len(collection), tiny, class_names=collection.class_names)
    chosen = set(spread(len(collection), THUMBS).tolist())
    thumbs: list[np.ndarray] = []
    sides = np.zeros(len(collection), np.int32)
    found.changes = changes
    began, content = time.monotonic(), hashlib.sha256()

    def one(index: int) -> tuple[int, Any, Facts | str, np.ndarray | None]:
        picture = None
        try:
            picture = collection[index]
            facts, image, size = _examined(collection, picture, max_pixels)
            thumb = decode(image, (THUMB, THUMB), channels=3) if index in chosen else None
            digest = _digest(collection, picture)
            return index, (picture.label, picture.caption is not None, size, digest), facts, thumb
        except CorruptImage as error:
            # Not among what the bytes are counted of, but a part of the content.
            stored = None if picture is None else (picture.label, False, 0, _digest(collection, picture))
            return index, stored, str(error), None

    for index, stored, facts, thumb in in_order(one, range(len(collection)), threads):
        if stored is not None:
            label, captioned, size, digest = stored
            found.captions += captioned
            found.bytes += size
            name = collection.name(index)
            content.update(hashlib.sha256(name.encode("utf-8", "surrogateescape") + b"\n" + digest).digest())
            hashed(name, digest.hex())
            if changes is not None:
                changes.meet(name, digest.hex())
            if label is None:
                found.unlabelled += 1
            else:
                found.per_class[label] += 1
        if isinstance(facts, str):
            found.damaged[collection.name(index)] = facts
        else:
            _note(found, collection, index, facts)
            sides[index] = min(facts.width, facts.height)
        if thumb is not None:
            thumbs.append(thumb)
        advance(1)
    if isinstance(collection, Videos):
        found.damaged |= collection.missing
    found.sides = sides[sides > 0]
    found.seconds = time.monotonic() - began
    found.sha256 = content.hexdigest()
    found.sheet = grid(thumbs, COLUMNS) if thumbs else None
    return found


def _examined(
    collection: Collection, picture: Picture, max_pixels: int
) -> tuple[Facts, bytes | np.ndarray, int]:
    """Facts of a record, the picture or the first frame, and bytes that are stored. Raises CorruptImage."""
    if not isinstance(collection, Videos):
        return examine(picture.image, max_pixels), picture.image, len(_bytes(picture.image))
    clip = collection.encoded(picture)
    seen = examine_clip(clip, max_pixels)
    odd = ("one frame",) if seen.frames == 1 else ()
    return Facts(seen.format, seen.width, seen.height, odd), np.asarray(seen.first), clip.size()


def _note(found: Survey, collection: Collection, index: int, facts: Facts) -> None:
    found.formats[facts.format] += 1
    if min(facts.width, facts.height) < found.tiny_below:
        found.tiny.append(collection.name(index))
    for oddity in facts.oddities:
        found.odd[oddity].append(collection.name(index))


def _digest(collection: Collection, picture: Picture) -> bytes:
    """SHA-256 of a record's bytes."""
    if isinstance(collection, Videos):
        with collection.encoded(picture).file() as file:
            return hashlib.file_digest(file, "sha256").digest()
    return hashlib.sha256(_bytes(picture.image)).digest()


def _bytes(image: bytes | np.ndarray) -> bytes | memoryview:
    return image if isinstance(image, bytes) else image.data.cast("B")


def _named(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(names[:_SHOWN]) + (f", … ({len(names) - _SHOWN} more)" if len(names) > _SHOWN else "")
    return [f"{what}: {len(names)}: {shown}"]
