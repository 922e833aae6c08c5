"""Bringing a known public file of weights to this machine, when it is asked for."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ulzoo.errors import DataError
from ulzoo.weights.known import Known

SCHEMES = ("https", "http", "file")
_CHUNK = 1 << 20
_SECONDS = 60.0
_MAX_BYTES = 4 << 30


@dataclass(frozen=True)
class Fetched:
    """A file that is there now.

    Attributes:
        path: where.
        sha256: of its bytes.
        checked: whether that was compared with a published one.
        new: whether it was fetched now; False if it was there already.
    """

    path: Path
    sha256: str
    checked: bool
    new: bool


def fetch(
    known: Known, folder: Path, *, url: str | None = None, told: Callable[[int, int | None], None]
) -> Fetched:
    """The file in a folder, fetched unless it is there.

    Args:
        url: in place of the published address, such as a mirror's; the hash must be the same.
        told: is given the bytes so far and in all, if that is known, as they come.

    Raises:
        DataError: it cannot be fetched or written, or is not the file that was published; nothing is left of
            it then, and nothing that was there is touched.
    """
    path, address = folder / known.file, url or known.url
    if path.exists():
        found = _hash_of(path)
        _check(known, found, str(path), "it is there already; move it away to fetch it anew")
        return Fetched(path, found, bool(known.sha256), new=False)
    if urlsplit(address).scheme not in SCHEMES:
        raise DataError(f"{address}: not an address of {', '.join(SCHEMES)}")
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = _download(address, part, told)
        _check(known, found, address, "nothing was kept")
        part.replace(path)
    except urllib.error.HTTPError as error:
        raise DataError(f"{address}: {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise DataError(f"{address}: cannot be reached: {error.reason}") from error
    except OSError as error:
        raise DataError(f"{known.file}: cannot be fetched: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return Fetched(path, found, bool(known.sha256), new=True)


def _download(address: str, part: Path, told: Callable[[int, int | None], None]) -> str:
    digest, done = hashlib.sha256(), 0
    with urllib.request.urlopen(address, timeout=_SECONDS) as answer, part.open("wb") as file:
        length = answer.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        while chunk := answer.read(_CHUNK):
            done += len(chunk)
            if done > _MAX_BYTES:
                raise DataError(f"{address}: longer than {_MAX_BYTES >> 30} GB; no known file is")
            digest.update(chunk)
            file.write(chunk)
            told(done, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done != total:
        raise DataError(f"{address}: ended after {done} of {total} bytes; try again")
    return digest.hexdigest()


def _check(known: Known, found: str, where: str, otherwise: str) -> None:
    if not found.startswith(known.sha256):
        raise DataError(
            f"{where}: not the file that was published: SHA-256 {found}, published {known.sha256}…\n"
            f"    {otherwise}"
        )


def _hash_of(path: Path) -> str:
    from ulzoo.weights.reading import sha256_of

    return sha256_of(path)
