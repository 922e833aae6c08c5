"""Captions in files beside pictures: `a/photo.txt` is of `a/photo.jpg`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ulzoo.data.collection import Names
from ulzoo.data.decode import CorruptImage

SUFFIX = ".txt"
MOST_BYTES = 1 << 20


def beside(names: Names, texts: Iterable[str]) -> np.ndarray:
    """int64 (n,): which of the texts is of each picture, −1 of one without.

    Args:
        names: paths of pictures.
        texts: paths of files that end with `SUFFIX`, in whatever letters.
    """
    number = {text[: -len(SUFFIX)]: index for index, text in enumerate(texts)}
    return np.fromiter((number.get(name.rpartition(".")[0], -1) for name in names), np.int64, len(names))


def caption_of(data: bytes) -> str | None:
    """What a file says, without the space around it; None where that is nothing.

    Raises:
        CorruptImage: it is longer than `MOST_BYTES`, and no caption.
    """
    if len(data) > MOST_BYTES:
        raise CorruptImage(f"its caption is longer than {MOST_BYTES} bytes")
    return data.decode("utf-8", "replace").strip() or None
