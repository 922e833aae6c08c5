"""What a user names on a command line → stored records: a path, an address, or a dataset as in a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ulzoo.data.collection import Collection
from ulzoo.data.shard_files import kind_of
from ulzoo.data.storage import file_system, is_remote, local
from ulzoo.errors import DataError

_BY_SUFFIX = {
    ".zip": "ulzoo.zip.v1",
    ".tar": "ulzoo.webdataset.v1",
    ".array_record": "ulzoo.array_record.v1",
    ".parquet": "ulzoo.parquet.v1",
}
_VIDEOS = (".mp4", ".webm", ".avi", ".mov", ".mkv")


def open_collection(place: str, *, labels: bool | None = None, registry: Any = None) -> Collection:
    """The records at a place.

    Args:
        place: a path or an address, whose format is told by its ending or by the files in it; or a dataset in
            braces, `{type: acme.lmdb.v1, root: x}`, without `size` if that does not matter.
        labels: True: records must have them; False: they are not looked at; None: if there are any.

    Raises:
        DataError: nothing is there, or it cannot be read.
        SpecError: braces that are no YAML.
        RegistryError: an unknown dataset.
    """
    in_braces = place.lstrip().startswith("{")
    fields: dict[str, Any] = _in_braces(place) if in_braces else {"type": _format(place), "root": place}
    if labels is False:
        fields["labels"] = "none"
    try:
        return _collect(fields, registry)
    except DataError:
        if labels is not None or "labels" in fields:
            raise
    return _collect({**fields, "labels": "none"}, registry)


def _collect(fields: dict[str, Any], registry: Any) -> Collection:
    from ulzoo.data.pictures import PictureDataset
    from ulzoo.registry import Registry
    from ulzoo.spec.component import Resolution

    registry = Registry.discover() if registry is None else registry
    cls = registry.load("dataset", str(fields.get("type")))
    if not issubclass(cls, PictureDataset):
        raise DataError(f"{fields['type']} is no dataset of stored pictures")
    # Records are stored at sizes and lengths of their own.
    for name in ("size", "frames"):
        if name in cls.model_fields:
            fields.setdefault(name, 1)
    try:
        config = cls.model_validate(fields, context=Resolution(registry))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
        raise DataError(f"{fields['type']}: {'; '.join(lines)}") from error
    collection = config.collect(config.root)
    if not len(collection):
        raise DataError(f"no {collection.what} in {config.root!r}")
    return collection


def _in_braces(text: str) -> dict[str, Any]:
    from ulzoo.spec.text import parse

    value = parse(text, "dataset").data
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise DataError(f"{text!r} is no dataset; write {{type: ulzoo.image_folder.v1, root: …}}")
    return value


def _holds_videos(folder: Path) -> bool:
    """Whether a folder, or one in it, has video files of its own; GIF and WebP may be pictures."""
    return any(path.suffix.lower() in _VIDEOS for pattern in ("*", "*/*") for path in folder.glob(pattern))


def _format(place: str) -> str:
    """The dataset that reads a place."""
    for suffix, name in _BY_SUFFIX.items():
        if place.lower().endswith(suffix):
            return name
    found = set()
    if is_remote(place):
        system, inside = file_system(place)
        if not system.isdir(inside):
            raise DataError(f"no folder, and no format that is known: {place!r}")
        names = [name.rpartition("/")[2] for name in system.ls(inside, detail=False)]
    else:
        folder = local(place)
        if not folder.is_dir():
            what = "no format that is known" if folder.exists() or "*" in place else "no such file or folder"
            raise DataError(f"{what}: {place!r}")
        names = [path.name for path in folder.iterdir()]
        if _holds_videos(folder):
            return "ulzoo.video_folder.v1"
        if kind_of(folder) == "ulzoo videos":
            return "ulzoo.video_record.v1"
    for suffix, name in _BY_SUFFIX.items():
        if suffix != ".zip" and any(entry.lower().endswith(suffix) for entry in names):
            found.add(name)
    if len(found) > 1:
        raise DataError(f"{place!r} holds several formats; name one: {{type: {sorted(found)[0]}, root: …}}")
    return found.pop() if found else "ulzoo.image_folder.v1"
