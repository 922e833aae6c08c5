"""A file of weights, whichever of the formats in use it has; and taking a network's arrays out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ulzoo.errors import DataError
from ulzoo.weights.arrays import Entry
from ulzoo.weights.safetensors_file import open_safetensors
from ulzoo.weights.torch_file import open_stream, open_zip

Take = Callable[..., np.ndarray]
"""`take(name, *sizes)`: the array of that name as float32; a size of None is any."""


def weights_path(text: str) -> Path:
    """The file that a field names: `~` expanded, relative to the working directory."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise DataError(f"cannot expand {text!r}: {error}") from error


@dataclass(frozen=True)
class WeightsFile:
    """Tensors by name; values are read when they are asked for.

    Attributes:
        path: the file.
        entries: shape, dtype and values by name.
    """

    path: Path
    entries: Mapping[str, Entry]

    @classmethod
    def open(cls, path: str | Path) -> WeightsFile:
        """Reads the table of a file: safetensors, or what `torch.save` writes. Nothing in it is run.

        Raises:
            DataError: no such file, a damaged one, or one that holds more than tensors.
        """
        file = weights_path(str(path))
        try:
            with file.open("rb") as stream:
                head = stream.read(10)
            return cls(file, _format(file, head)(file))
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes."""
        return sha256_of(self.path)

    def array(self, name: str) -> np.ndarray:
        """The values of one tensor, in the dtype they are stored in (float32 for bfloat16)."""
        return self.entries[name].load()


def sha256_of(path: Path) -> str:
    """Of a file's bytes. Raises DataError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _format(path: Path, head: bytes) -> Callable[[Path], dict[str, Entry]]:
    if head.startswith(b"PK"):
        return open_zip
    # A pickle of protocol 2 to 5 whose first object is a long number: PyTorch's older files.
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return open_stream
    # The first key of the JSON table, behind its length.
    if head[8:9] == b"{":
        return open_safetensors
    raise DataError(f"{path}: neither safetensors nor a file of torch.save")


def taken(
    file: WeightsFile, build: Callable[[Take], Any], *, values: bool = True, spare: Collection[str] = ()
) -> Any:
    """What `build` makes of a file's arrays; every array of the file must be used.

    Args:
        build: calls `take(name, *sizes)` for each array of its network.
        values: False checks names and sizes alone: arrays are zeros that take no memory.
        spare: names, or beginnings or ends of names, that may be left over.

    Raises:
        DataError: an array is missing, left over, of another size, or not finite; names the first ones.
    """
    used: set[str] = set()
    missing: list[str] = []

    def take(name: str, *sizes: int | None) -> np.ndarray:
        used.add(name)
        entry = file.entries.get(name)
        if entry is None:
            missing.append(name)
            return _zeros(tuple(size or 1 for size in sizes))
        fits = len(entry.shape) == len(sizes) and all(
            wanted in (None, size) for wanted, size in zip(sizes, entry.shape, strict=True)
        )
        if not fits:
            words = ", ".join("any" if size is None else str(size) for size in sizes)
            raise DataError(f"{file.path}: {name} has the shape {entry.shape}, not ({words})")
        if not values:
            return _zeros(entry.shape)
        array = np.asarray(entry.load(), np.float32)
        if not np.isfinite(array).all():
            raise DataError(f"{file.path}: {name} holds values that are not finite")
        return array

    made = build(take)
    if missing:
        raise DataError(f"{file.path}: not the weights of this network: no {_listed(missing)}")
    over = [n for n in file.entries if n not in used and not any(_matches(n, part) for part in spare)]
    if over:
        raise DataError(f"{file.path}: not the weights of this network: it also has {_listed(over)}")
    return made


def _matches(name: str, part: str) -> bool:
    return name.startswith(part) or name.endswith(part)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _zeros(shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(np.float32(0), shape)


def random_tensors(
    build: Callable[[Take], object], shape: Callable[[str, tuple[int | None, ...]], tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Random arrays for all that a network takes, of a size that neither grows nor fades through ReLUs.

    Args:
        shape: from a name and the sizes asked for to the sizes to make.
    """
    rng = np.random.default_rng(0)
    made: dict[str, np.ndarray] = {}

    def take(name: str, *sizes: int | None) -> np.ndarray:
        chosen = shape(name, sizes)
        inputs = int(np.prod(chosen[1:])) or 1
        values = rng.standard_normal(chosen) * np.sqrt(2 / inputs)
        if len(chosen) == 1:
            # Scales and variances are positive, and near one.
            values = 1 + 0.1 * rng.random(chosen) if _scales(name) else 0.02 * rng.standard_normal(chosen)
        made[name] = values.astype(np.float32)
        return made[name]

    build(take)
    return made


def _scales(name: str) -> bool:
    return any(part in name for part in ("running_var", "norm", "bn.weight", "gamma", "lambda"))


def names_like(file: WeightsFile, start: str) -> Iterator[str]:
    """Names that begin so, in the file's order."""
    return (name for name in file.entries if name.startswith(start))
