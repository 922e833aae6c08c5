"""`ulzoo weights list` and `ulzoo weights get NAME`: public weights that metrics look through."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ulzoo.errors import DataError
from ulzoo.weights.known import KNOWN, Known


def run(arguments: argparse.Namespace) -> None:
    if arguments.action == "list":
        if arguments.name is not None:
            raise DataError(
                f"`weights list` takes no name, got {arguments.name!r}; did you mean `weights get`?"
            )
        print("\n".join(_line(known) for known in KNOWN.values()))
        return
    if arguments.name is None:
        raise DataError("which weights? give a NAME, or see `ulzoo weights list`")
    get(arguments.name, arguments.out, arguments.url)


def get(name: str, out: str | None, url: str | None) -> None:
    """Fetch one file and say what it is."""
    from ulzoo.spec.messages import nearest
    from ulzoo.weights.fetching import fetch

    if name not in KNOWN:
        near = nearest(name, list(KNOWN))
        raise DataError(
            f"no weights called {name!r}"
            + (f"; did you mean {near!r}?" if near else "")
            + f"\n    known: {', '.join(KNOWN)}"
        )
    known = KNOWN[name]
    folder = default_folder() if out is None else Path(out).expanduser()
    print(f"{known.name}: {url or known.url}\nlicence: {known.licence}", flush=True)
    found = fetch(known, folder, url=url, told=_progress)
    print(f"file: {found.path}{'' if found.new else ' (there already)'}")
    compared = (
        f"as published ({_published(known)})" if found.checked else "no published one to compare it with"
    )
    print(f"SHA-256: {found.sha256}, {compared}\nfor: {known.use}")


def default_folder() -> Path:
    """`ulzoo/weights` in $XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ulzoo" / "weights"


def _line(known: Known) -> str:
    return (
        f"{known.name}\n    {known.url}\n    licence: {known.licence}\n"
        f"    SHA-256: {_published(known)}\n    for: {known.use}"
    )


def _published(known: Known) -> str:
    whole = len(known.sha256) == 64
    return known.sha256 if whole else f"begins with {known.sha256}" if known.sha256 else "not published"


def _progress(done: int, total: int | None) -> None:
    if sys.stderr.isatty():
        share = f" of {total >> 20}" if total else ""
        print(f"\r{done >> 20}{share} MB", end="\n" if done == total else "", file=sys.stderr, flush=True)
