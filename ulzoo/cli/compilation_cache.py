"""Compiled programs are kept between processes: `ulzoo sample` need not compile again what it did before."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import MutableMapping
from pathlib import Path

_MONTH = 30 * 24 * 3600.0


def use_compilation_cache(environment: MutableMapping[str, str]) -> None:
    """Tell JAX, which is not loaded yet, where to keep compiled programs; what the user told it goes first.

    A damaged entry costs a warning and a compilation, nothing else.
    """
    if "JAX_COMPILATION_CACHE_DIR" in environment:
        return
    home = environment.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(home) / "ulzoo" / "xla" / _machine()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _forget_old(folder)
    except OSError:
        # No place to write (a container, a full disk): every process compiles for itself.
        return
    if os.access(folder, os.W_OK):
        environment["JAX_COMPILATION_CACHE_DIR"] = str(folder)


def _machine() -> str:
    """A word for this kind of processor: code compiled on one may stop another, and homes are shared."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(f"{platform.platform()} {features}".encode()).hexdigest()[:16]


def _forget_old(folder: Path) -> None:
    """Programs compiled a month ago go: nothing else bounds the folder."""
    for entry in os.scandir(folder):
        if entry.is_file() and time.time() - entry.stat().st_mtime > _MONTH:
            os.unlink(entry.path)
