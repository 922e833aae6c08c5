"""Files here and elsewhere: a path, or an address such as gs://bucket/folder, s3://…, file://…, memory://….

Local files are read by the operating system alone; anything else goes through fsspec, which is an extra.
Nothing is kept open: a read names file, place and length, so that sources can be used from several threads
and sent to other processes.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ulzoo.errors import DataError

EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3", "s3a": "s3"}


def is_remote(path: str) -> bool:
    """Whether a path is an address of another file system."""
    return "://" in path and not path.startswith("file://")


def local(path: str) -> Path:
    """The local file or folder that a path names: `~` expanded, `file://` taken off.

    Raises:
        DataError: there is no home folder of that name.
    """
    if path.startswith("file://"):
        path = unquote(urlsplit(path).path)
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"cannot expand {path!r}: {error}") from error


def file_system(path: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Raises:
        DataError: fsspec or the package of this kind of address is not installed; names the extra.
    """
    scheme = path.partition("://")[0]
    extra = EXTRAS.get(scheme, "remote")
    try:
        import fsspec

        found, inside = fsspec.core.url_to_fs(path)
    except ImportError as error:
        raise DataError(
            f"{path}: reading {scheme}:// needs another package: pip install 'ulzoo[{extra}]' ({error})"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    return found, inside


@dataclass(frozen=True)
class Blob:
    """One file, here or elsewhere.

    Attributes:
        path: absolute path or address.
        size: bytes.
        stamp: changes when the file does, as far as its file system tells.
    """

    path: str
    size: int
    stamp: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rstrip("/").rpartition("/")[2]

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on.

        Raises:
            DataError: the file cannot be read, or ends before.
        """
        data = read_range(self.path, offset, length)
        if len(data) != length:
            raise DataError(f"{self.path!r} ends at byte {offset + len(data)}, where a record goes on")
        return data

    def open(self) -> Any:
        """A seekable binary file object; close it. Raises DataError."""
        try:
            if not is_remote(self.path):
                return open(self.path, "rb")
            system, inside = file_system(self.path)
            return system.open(inside, "rb")
        except OSError as error:
            raise DataError(f"cannot read {self.path!r}: {error.strerror or error}") from error


def read_range(path: str, offset: int, length: int) -> bytes:
    """At most `length` bytes from `offset` on. Raises DataError."""
    try:
        if is_remote(path):
            system, inside = file_system(path)
            return bytes(system.cat_file(inside, start=offset, end=offset + length))
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DataError(f"cannot read {path!r}: {error.strerror or error}") from error


def read_whole(path: str) -> bytes:
    """A whole file. Raises DataError."""
    try:
        if is_remote(path):
            system, inside = file_system(path)
            return bytes(system.cat_file(inside))
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        raise DataError(f"cannot read {path!r}: {error.strerror or error}") from error


def blob(path: str) -> Blob:
    """A file by its path. Raises DataError: there is none."""
    try:
        if is_remote(path):
            system, inside = file_system(path)
            facts = system.info(inside)
            stamp = facts.get("etag") or facts.get("mtime") or facts.get("created") or facts.get("ETag") or ""
            return Blob(path, int(facts["size"]), str(stamp))
        found = local(path).absolute()
        facts = found.stat()
        return Blob(str(found), facts.st_size, str(facts.st_mtime_ns))
    except OSError as error:
        reason = error.strerror or "there is no such file"
        raise DataError(f"cannot read {path!r}: {reason}") from error


def shards(path: str, suffixes: tuple[str, ...], what: str) -> list[Blob]:
    """The files that a field means: one file, those of a folder, or those that match a pattern with `*`.

    Sorted by name. Hidden files are left out.

    Args:
        suffixes: of the files of a folder.
        what: such as "tar shards", for the message.

    Raises:
        DataError: there are none.
    """
    if is_remote(path):
        system, inside = file_system(path)
        scheme = path.partition("://")[0]
        try:
            if "*" in inside:
                found = system.glob(inside)
            else:
                found = system.ls(inside, detail=False) if system.isdir(inside) else [inside]
        except OSError:
            found = []
        names = [
            f"{scheme}://{name.lstrip('/')}"
            for name in found
            if "*" in inside or _wanted(name, suffixes, inside)
        ]
    else:
        root = local(path).absolute()
        if "*" in path:
            names = [str(found) for found in Path(root.anchor).glob(str(root.relative_to(root.anchor)))]
        elif root.is_dir():
            names = [str(found) for found in root.iterdir() if _wanted(found.name, suffixes, "")]
        else:
            names = [str(root)] if root.exists() else []
    if not names:
        start = "" if is_remote(path) else f" (relative paths start at {str(Path.cwd())!r})"
        raise DataError(f"no {what} at {path!r}{start}")
    return [blob(name) for name in sorted(names)]


def _wanted(name: str, suffixes: tuple[str, ...], itself: str) -> bool:
    last = name.rstrip("/").rpartition("/")[2]
    return name == itself or (not last.startswith(".") and last.lower().endswith(suffixes))


def cache_folder() -> Path:
    """Where indexes and copies are kept: ulzoo/data in $XDG_CACHE_HOME or ~/.cache. May be removed."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ulzoo" / "data"


def local_copy(file: Blob) -> Path:
    """The file itself if it is here, else a whole copy of it in the cache, made once.

    Raises:
        DataError: it cannot be copied.
    """
    if not is_remote(file.path):
        return Path(file.path)
    key = hashlib.sha256(f"{file.path}\n{file.size}\n{file.stamp}".encode()).hexdigest()[:32]
    target = cache_folder() / "copies" / key / file.name
    if target.exists() and target.stat().st_size == file.size:
        return target
    system, inside = file_system(file.path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        system.get_file(inside, str(temporary))
        temporary.replace(target)
    except OSError as error:
        raise DataError(f"cannot copy {file.path!r} to {str(target)!r}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return target
