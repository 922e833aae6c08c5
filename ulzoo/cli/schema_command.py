"""`ulzoo schema`: a JSON Schema of everything installed, for editors."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ulzoo.errors import UlzooError


def run(arguments: argparse.Namespace) -> None:
    from ulzoo.atomic import write_atomic
    from ulzoo.registry import Entry
    from ulzoo.schema import json_schema

    def left_out(entry: Entry, cause: str) -> None:
        print(f"left out: {entry.kind} {entry.name} of {entry.origin}: {cause}", file=sys.stderr)

    text = json.dumps(json_schema(on_broken=left_out), indent=1, ensure_ascii=False) + "\n"
    if arguments.out is None:
        sys.stdout.write(text)
        return
    path = Path(arguments.out)
    if path.exists() and not _is_schema(path):
        raise UlzooError(f"{path}: exists, and is no JSON Schema\n    give another name, or remove it")
    try:
        write_atomic(path, text)
    except OSError as error:
        raise UlzooError(f"{path}: cannot be written: {error.strerror or error}") from error
    print(path)


def _is_schema(path: Path) -> bool:
    """Whether a file is a JSON Schema, which a newer one may replace."""
    try:
        return "$schema" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False
