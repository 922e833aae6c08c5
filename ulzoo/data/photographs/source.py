"""Reads scikit-image's photographs and crops them."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from ulzoo.data.decode import mirrored
from ulzoo.data.source import Record, Source, Split
from ulzoo.errors import DataError

if TYPE_CHECKING:
    from ulzoo.data.photographs import PhotographsConfig

EXTRA = "pip install 'ulzoo[photographs]'"


class Photograph(NamedTuple):
    """A file under `skimage/data`.

    Attributes:
        sha256: of the file, so that numbers are of these pictures and no others.
    """

    file: str
    split: Split
    colour: bool
    licence: str
    sha256: str


PHOTOGRAPHS = (
    Photograph(
        "astronaut.png", "train", True, "public domain, NASA",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    ),
    Photograph(
        "coffee.png", "train", True, "CC0, Rachel Michetti",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    ),
    Photograph(
        "rocket.jpg", "train", True, "public domain, SpaceX",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    ),
    Photograph(
        "brick.png", "train", False, "CC0, CC0Textures",
        "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    ),
    Photograph(
        "camera.png", "train", False, "CC0, Lav Varshney",
        "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    ),
    Photograph(
        "grass.png", "train", False, "CC0, linolafett",
        "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    ),
    Photograph(
        "chelsea.png", "heldout", True, "CC0, Stefan van der Walt",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    ),
    Photograph(
        "gravel.png", "heldout", False, "CC0, CC0Textures",
        "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    ),
)  # fmt: skip


class PhotographsSource(Source):
    """One split. Record `i` is a tile; tiles of a photograph do not overlap, and start at its upper left.

    `draw` crops the photograph of tile `i` anywhere, so a photograph comes as often as it has tiles.
    """

    def __init__(self, config: PhotographsConfig, split: Split) -> None:
        chosen = [one for one in PHOTOGRAPHS if one.split == split and (one.colour or config.channels == 1)]
        self._config, self._names = config, [one.file for one in chosen]
        self._pixels = [reduced(read(one, config.channels), config.reduce) for one in chosen]
        self._tiles = [
            (number, top, left)
            for number, pixels in enumerate(self._pixels)
            for top in range(0, pixels.shape[0] - config.size + 1, config.size)
            for left in range(0, pixels.shape[1] - config.size + 1, config.size)
        ]

    def __len__(self) -> int:
        return len(self._tiles)

    def __getitem__(self, index: int) -> Record:
        return self._record(index, *self._tiles[index])

    def draw(self, index: int, rng: np.random.Generator) -> Record:
        """The crop lies anywhere; mirrored where the config asks for it."""
        number, _, _ = self._tiles[index]
        height, width, _ = self._pixels[number].shape
        size = self._config.size
        top, left = rng.integers(0, (height - size + 1, width - size + 1))
        record = self._record(index, number, int(top), int(left))
        if self._config.flip and rng.random() < 0.5:
            record["image"] = mirrored(record["image"])
        return record

    def record_name(self, index: int) -> str:
        number, top, left = self._tiles[index]
        return f"{self._names[number]}, row {top}, column {left}"

    def fingerprint(self) -> str:
        """SHA-256 (hex) of names, shapes and pixels, and of the size of the tiles."""
        digest = hashlib.sha256(f"{self._config.size}".encode())
        for name, pixels in zip(self._names, self._pixels, strict=True):
            digest.update(f" {name} {pixels.shape} ".encode() + pixels.tobytes())
        return digest.hexdigest()

    def _record(self, index: int, number: int, top: int, left: int) -> Record:
        size = self._config.size
        image = self._pixels[number][top : top + size, left : left + size]
        return {"image": np.ascontiguousarray(image), "index": np.int32(index)}


def read(photograph: Photograph, channels: int) -> np.ndarray:
    """uint8 (h, w, channels).

    Raises:
        DataError: scikit-image is not there, or its file is another one.
    """
    # Found, not imported: the files are all that is needed of it.
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise DataError(f"the photographs come with scikit-image, not installed here\n    {EXTRA}")
    path = Path(found.submodule_search_locations[0]) / "data" / photograph.file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"scikit-image has no {path}: {error.strerror}\n    {EXTRA}") from error
    if hashlib.sha256(data).hexdigest() != photograph.sha256:
        raise DataError(
            f"{path}: not the picture that the dataset is made of; scikit-image 0.22 to 0.26 have it"
        )
    with Image.open(path) as file:
        pixels = np.asarray(file.convert("L" if channels == 1 else "RGB"), np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels)


def reduced(pixels: np.ndarray, factor: int) -> np.ndarray:
    """uint8 (h, w, c) → (h // factor, w // factor, c), each the mean of a square, halves rounded to even."""
    height, width, channels = pixels.shape[0] // factor, pixels.shape[1] // factor, pixels.shape[2]
    squares = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, channels)
    return np.rint(squares.mean((1, 3))).astype(np.uint8)
