"""Reads and resizes the packaged digits."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
from PIL import Image

from ulzoo.data.source import Record, Source, Split

GREY_LEVELS = 16  # original pixels count the ink in a 4×4 block: 0..16


class DigitsSource(Source):
    """One split of the digits at one size; white ink (255) on black (0)."""

    def __init__(self, split: Split, size: int) -> None:
        with (
            files(__package__).joinpath("digits.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as data,
        ):
            chosen = data["heldout"] if split == "heldout" else ~data["heldout"]
            pixels, labels = data["pixels"][chosen], data["label"][chosen]
        self._images = np.stack([enlarge(picture, size) for picture in pixels])[..., None]
        self._labels = labels.astype(np.int32)

    def __len__(self) -> int:
        return len(self._labels)

    def fingerprint(self) -> str:
        """SHA-256 (hex) of pixels and labels."""
        return hashlib.sha256(self._images.tobytes() + self._labels.astype("<i4").tobytes()).hexdigest()

    def __getitem__(self, index: int) -> Record:
        return {"image": self._images[index], "label": self._labels[index], "index": np.int32(index)}


def enlarge(picture: np.ndarray, size: int) -> np.ndarray:
    """Grey levels 0..16 (8, 8) → uint8 (size, size).

    The filter runs in floating point before rounding, so strokes keep their soft edges; bicubic overshoot is
    clipped.
    """
    levels = Image.fromarray(picture.astype(np.float32) * (255 / GREY_LEVELS))
    resized = levels if size == picture.shape[0] else levels.resize((size, size), Image.Resampling.BICUBIC)
    return np.rint(np.clip(np.asarray(resized), 0, 255)).astype(np.uint8)
