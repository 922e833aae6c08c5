"""Safetensors: a length, a table in JSON, and the values. Nothing in such a file can be run.

Source: the format's own description (safetensors, "Format"). The library's NumPy side has no bfloat16.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ulzoo.errors import DataError
from ulzoo.weights.arrays import ITEM_BYTES, Entry, values

_MAX_HEADER = 100_000_000


def open_safetensors(path: Path) -> dict[str, Entry]:
    """Entries of a safetensors file. Raises DataError as `read_weights` does."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if length > min(size - 8, _MAX_HEADER):
            raise DataError(f"{path}: damaged: its table is longer than the file")
        try:
            table = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: damaged: its table is no JSON: {error}") from error
    if not isinstance(table, dict):
        raise DataError(f"{path}: damaged: its table is no table")
    start = 8 + length
    return {
        str(name): _entry(path, name, fields, start, size)
        for name, fields in table.items()
        if name != "__metadata__"
    }


def _entry(path: Path, name: str, fields: Any, start: int, size: int) -> Entry:
    try:
        dtype, shape, (low, high) = fields["dtype"], tuple(fields["shape"]), fields["data_offsets"]
        wanted = math.prod(shape) * ITEM_BYTES[dtype]
        numbers = (*shape, low, high)
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("sizes that are no whole numbers")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged, or of a dtype that is not read: {name}: {error}") from error
    if high - low != wanted or start + high > size:
        raise DataError(f"{path}: damaged: {name} has {high - low} bytes in the file, {wanted} by its shape")

    def load() -> np.ndarray:
        with path.open("rb") as file:
            file.seek(start + low)
            return values(file.read(wanted), dtype).reshape(shape)

    return Entry(shape, dtype, load)


def write_safetensors(path: str | Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes float32 arrays by name."""
    arrays = {name: np.ascontiguousarray(value, "<f4") for name, value in tensors.items()}
    table, place = {}, 0
    for name, value in arrays.items():
        table[name] = {
            "dtype": "F32",
            "shape": list(value.shape),
            "data_offsets": [place, place + value.nbytes],
        }
        place += value.nbytes
    text = json.dumps(table).encode()
    # The values begin at a multiple of eight bytes.
    text += b" " * (-len(text) % 8)
    data = b"".join([struct.pack("<Q", len(text)), text, *(value.tobytes() for value in arrays.values())])
    Path(path).write_bytes(data)
