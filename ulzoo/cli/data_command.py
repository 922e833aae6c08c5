"""`ulzoo data prepare IN OUT` and `ulzoo data check SOURCE`."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ulzoo.cli.reporting import note
from ulzoo.errors import DataError
from ulzoo.progress import Progress


def run(arguments: argparse.Namespace) -> int:
    return _prepare(arguments) if arguments.action == "prepare" else _check(arguments)


def _prepare(arguments: argparse.Namespace) -> int:
    from ulzoo.data.opening import open_collection
    from ulzoo.data.pictures import MAX_PIXELS
    from ulzoo.data.prepare import prepare

    collection = open_collection(arguments.source, labels=_labels(arguments))
    with Progress("prepare", len(collection), unit="records") as progress:
        manifest = prepare(
            collection,
            Path(arguments.out),
            shards=arguments.shards,
            size=arguments.size,
            licence=_licence(arguments.licence),
            corrupt=arguments.corrupt,
            max_pixels=arguments.max_pixels or MAX_PIXELS,
            threads=arguments.threads,
            advance=progress.advance,
        )
    for name, reason in manifest["skipped"].items():
        note(f"left out: {name} ({reason})")
    left_out = f", {len(manifest['skipped'])} left out" if manifest["skipped"] else ""
    print(
        f"{arguments.out}: {manifest['records']} records in {arguments.shards} shards,"
        f" {manifest['bytes'] / 1e6:.1f} MB{left_out}, sha256 {manifest['sha256'][:12]}"
    )
    videos = manifest["kind"] == "ulzoo videos"
    kind, frames = ("video_record", ", frames: …") if videos else ("array_record", "")
    print(f"    data: {{type: ulzoo.{kind}.v1, root: {arguments.out}, size: …{frames}}}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    if (manifest := _manifest(arguments.source)).get("kind") == "ulzoo latents":
        return _check_latents(arguments)
    from ulzoo.atomic import being_written
    from ulzoo.data.hashes import FILE, Changes, line
    from ulzoo.data.opening import open_collection
    from ulzoo.data.pictures import MAX_PIXELS
    from ulzoo.data.shard_files import damage
    from ulzoo.data.storage import local
    from ulzoo.data.survey import survey
    from ulzoo.images import write_png

    changes = None if arguments.against is None else Changes.since(arguments.against)
    collection = open_collection(arguments.source, labels=_labels(arguments))
    folder = None if arguments.out is None else _folder(arguments.out)
    with ExitStack() as stack:
        list_of_hashes = None if folder is None else stack.enter_context(being_written(folder / FILE))
        progress = stack.enter_context(Progress("check", len(collection), unit="records"))
        found = survey(
            collection,
            tiny=arguments.tiny,
            max_pixels=arguments.max_pixels or MAX_PIXELS,
            threads=arguments.threads,
            advance=progress.advance,
            hashed=lambda name, digest: list_of_hashes and list_of_hashes.write(line(name, digest)),
            changes=changes,
        )
    found.shards += damage(local(arguments.source), manifest) if manifest else []
    print("\n".join(found.lines()))
    if folder is not None:
        text = json.dumps(found.as_dict(), indent=2, ensure_ascii=False)
        (folder / "check.json").write_text(text + "\n", encoding="utf-8")
        if found.sheet is not None:
            write_png(folder / "contact-sheet.png", found.sheet)
        print(f"written: {folder / 'check.json'}, {folder / FILE}, {folder / 'contact-sheet.png'}")
    return 0 if found.sound else 1


def _check_latents(arguments: argparse.Namespace) -> int:
    from ulzoo.data.latents import LatentCache, survey_latents

    for name in ("out", "against", "max_pixels"):
        if getattr(arguments, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise DataError(f"{arguments.source!r} holds latents, of which `data check` takes no {option}")
    cache = LatentCache(arguments.source)
    with Progress("check", cache.manifest["records"], unit="records") as progress:
        lines, sound = survey_latents(cache, threads=arguments.threads, advance=progress.advance)
    print("\n".join(lines))
    return 0 if sound else 1


def _manifest(source: str) -> dict[str, Any]:
    """The manifest in a local folder, empty if there is none."""
    from ulzoo.data.shard_files import MANIFEST, load_manifest
    from ulzoo.data.storage import is_remote, local

    if source.lstrip().startswith("{") or is_remote(source) or not (local(source) / MANIFEST).is_file():
        return {}
    return load_manifest(local(source))


def _labels(arguments: argparse.Namespace) -> bool | None:
    return None if arguments.labels is None else arguments.labels == "yes"


def _licence(given: str | None) -> str | None:
    if given is None or not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the licence {given[1:]!r}: {error}") from error


def _folder(given: Any) -> Path:
    folder = Path(given)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write to {str(folder)!r}: {error.strerror}") from error
    return folder
