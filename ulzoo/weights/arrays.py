"""Bytes of a file of weights as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ulzoo.errors import DataError

ITEM_BYTES = {
    **{"F64": 8, "F32": 4, "F16": 2, "BF16": 2},
    **{"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1},
}
"""Bytes of one value, by dtype as safetensors names it."""
_NUMPY = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"},
}


@dataclass(frozen=True)
class Entry:
    """A tensor of a file, read when it is asked for.

    Attributes:
        shape: its sizes.
        dtype: as safetensors names it.
        load: its values, float32 for bfloat16.
    """

    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], np.ndarray]


def values(data: bytes, dtype: str) -> np.ndarray:
    """All values in some bytes, in one row; bfloat16 as float32, which holds it exactly."""
    found = np.frombuffer(data, _NUMPY[dtype])
    if dtype == "BF16":
        return (found.astype(np.uint32) << 16).view(np.float32)
    return found


def strided(data: bytes, dtype: str, offset: int, shape: Sequence[int], stride: Sequence[int]) -> np.ndarray:
    """A tensor that looks into a storage; offset and stride count values.

    Raises:
        DataError: it would look beyond.
    """
    stored = values(data, dtype)
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if 0 in shape:
        return np.zeros(tuple(shape), stored.dtype)
    if last >= len(stored):
        raise DataError("damaged: a tensor reaches beyond the values that are stored")
    steps = [step * stored.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(stored[offset:], tuple(shape), steps, writeable=False).copy()
