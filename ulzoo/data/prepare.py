"""Any collection of pictures or videos → ArrayRecord shards with a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from ulzoo.data.ahead import in_order
from ulzoo.data.collection import Collection
from ulzoo.data.collections.array_record import ArrayRecordCollection
from ulzoo.data.decode import CorruptImage
from ulzoo.data.facts import shrunk
from ulzoo.data.pictures import MAX_PIXELS
from ulzoo.data.shard_files import Skipped, Written, content_hash, finish, total, write_shards
from ulzoo.data.videos.facts import shrunk_clip
from ulzoo.data.videos.files import Videos
from ulzoo.data.videos.records import VideoRecords
from ulzoo.errors import DataError

KIND = ArrayRecordCollection.kind


def prepare(
    collection: Collection,
    out: Path,
    *,
    shards: int,
    size: int | None = None,
    licence: str | None = None,
    corrupt: Literal["error", "skip"] = "error",
    max_pixels: int = MAX_PIXELS,
    threads: int = 2,
    advance: Callable[[int], object] = lambda steps: None,
) -> dict[str, Any]:
    """Write every record of a collection, with its name, label and caption; goes on where it was interrupted.

    Args:
        size: pixels of the shorter side of what is larger; None keeps every file byte for byte.
        licence: kept in the manifest.
        corrupt: what is done with a record that is not sound: stop and name it, or leave it out and name it.
        threads: that read and check pictures. The shards do not depend on it.
        advance: told how many records are done.

    Returns:
        the manifest.

    Raises:
        DataError: a damaged record, by policy; the folder holds something else.
    """

    def one(index: int) -> Written | Skipped:
        name = collection.name(index)
        facts: Any
        try:
            picture = collection[index]
            if isinstance(collection, Videos):
                facts, data = shrunk_clip(collection.encoded(picture), size, max_pixels)
            else:
                facts, data = shrunk(picture.image, size, max_pixels)
        except CorruptImage as error:
            if corrupt == "error":
                raise DataError(
                    f"{collection.where.rstrip('/')}/{name} is damaged ({error});"
                    " --corrupt skip leaves such records out"
                ) from error
            return name, str(error)
        numbers: dict[str, Any] = {
            "least_width": facts.width,
            "least_height": facts.height,
            "most_width": facts.width,
            "most_height": facts.height,
            "picture_bytes": len(data),
            "captions": int(picture.caption is not None),
            "per_class": {} if picture.label is None else {str(picture.label): 1},
        }
        if isinstance(collection, Videos):
            numbers |= {"frames": facts.frames, "seconds": facts.seconds}
        return Written(picture.name, data, picture.label, picture.caption, numbers)

    def some(indices: range) -> Iterator[Written | Skipped]:
        return in_order(one, indices, threads)

    source = {"fingerprint": collection.fingerprint(), "records": len(collection)}
    kind = VideoRecords.kind if isinstance(collection, Videos) else KIND
    identity = {"kind": kind, "source": source, "size": size, "corrupt": corrupt, "max_pixels": max_pixels}
    written = write_shards(out, identity, len(collection), shards, some, advance)
    numbers = total(written)
    classes = collection.class_names
    manifest = {
        "kind": kind,
        "version": 1,
        "records": sum(facts["records"] for facts in written),
        "bytes": sum(facts["bytes"] for facts in written),
        "sha256": content_hash(written),
        "size": size,
        "originals": {
            name: numbers.get(name) for name in ("least_width", "least_height", "most_width", "most_height")
        },
        "classes": list(classes) if classes is not None else None,
        "per_class": dict(sorted(numbers.get("per_class", {}).items(), key=lambda item: int(item[0]))),
        "captions": numbers.get("captions", 0),
        **({name: numbers.get(name, 0) for name in ("frames", "seconds")} if kind != KIND else {}),
        "licence": licence,
        "source": {**source, "where": collection.where},
        "skipped": {
            **getattr(collection, "missing", {}),
            **{name: why for facts in written for name, why in facts["skipped"].items()},
        },
        "shards": [
            {name: facts[name] for name in ("file", "records", "bytes", "sha256")} for facts in written
        ],
    }
    finish(out, manifest)
    return manifest
