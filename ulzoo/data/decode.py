"""Bytes of one picture file → uint8 (H, W, C) of a wanted size. JPEG, PNG and WebP, by content and not by
name.

What is done to unusual pictures: EXIF orientation is honoured; transparency is laid over white; 16-bit greys
are scaled to 8 bits; palettes, CMYK and greys are converted by Pillow (colour profiles are not applied); of
an animation the first frame is taken.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from ulzoo.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 89_478_485  # Pillow's own bound: a quarter of a GiB of 24-bit pixels; more is taken for a bomb

Filter = Literal["box", "bilinear", "bicubic", "lanczos"]
Offset = Callable[[], tuple[float, float]]
"""Where in the slack a crop lies, from 0 to 1, (vertical, horizontal)."""

_FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = (5, 6, 7, 8)


class CorruptImage(Exception):
    """A file that is no readable picture; the text says why."""


def centred() -> tuple[float, float]:
    """The offset of a centre crop."""
    return 0.5, 0.5


def decode(
    data: bytes, size: tuple[int, int], *, channels: int, resize: Filter = "bicubic", offset: Offset = centred
) -> np.ndarray:
    """The largest crop of the target's aspect ratio, resized to `size` = (h, w).

    Args:
        channels: 1 (luma) or 3 (RGB).
        offset: called once, after the picture was read without error.

    Returns:
        uint8 (h, w, channels).

    Raises:
        CorruptImage: not a picture of a known format, truncated, damaged, or of more than `MAX_PIXELS`.
    """
    try:
        picture = _read(data, size, channels)
    except MemoryError:
        raise
    except CorruptImage:
        raise
    except Exception as error:
        # Pillow's decoders raise nearly anything on damaged files: OSError, SyntaxError, ValueError,
        # struct.error, …
        raise CorruptImage(f"{type(error).__name__}: {error}") from error
    box = crop_box(picture.size, size, offset())
    picture = picture.resize((size[1], size[0]), _FILTERS[resize], box=box)
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels.reshape(*size, channels)


def read_picture(
    path: Path, size: tuple[int, int], *, channels: int, resize: Filter = "bicubic"
) -> np.ndarray:
    """One file as a dataset of pictures would give it for evaluation: decoded, its centre resized.

    Returns:
        uint8 (h, w, channels).

    Raises:
        DataError: the file is missing, cannot be read, or is no sound picture; names it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from error
    try:
        return decode(data, size, channels=channels, resize=resize)
    except CorruptImage as error:
        raise DataError(f"{str(path)!r} is damaged, or no JPEG, PNG or WebP picture ({error})") from error


def crop_box(
    picture: tuple[int, int], size: tuple[int, int], offset: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Largest box of the aspect ratio of `size` = (h, w) within a picture of (width, height) pixels.

    Returns:
        (left, top, right, bottom) in pixels, possibly fractional.
    """
    width, height = picture
    scale = min(width / size[1], height / size[0])
    box_width, box_height = min(size[1] * scale, width), min(size[0] * scale, height)
    top, left = (height - box_height) * offset[0], (width - box_width) * offset[1]
    return left, top, min(left + box_width, width), min(top + box_height, height)


def _read(data: bytes, size: tuple[int, int], channels: int) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=FORMATS) as file:
        if file.width * file.height > MAX_PIXELS:
            raise CorruptImage(f"{file.width}×{file.height} pixels are more than {MAX_PIXELS}")
        orientation = _orientation(file)
        height, width = size[::-1] if orientation in _TURNED else size
        # JPEG can be decoded at 1/2, 1/4 or 1/8 at a fraction of the cost; twice the target's scale keeps the
        # resize filter's quality.
        scale = 2 * max(width / file.width, height / file.height)
        if scale < 1:
            file.draft(None, (math.ceil(file.width * scale), math.ceil(file.height * scale)))
        file.load()
        picture = flatten(file, channels)
    turn = _ORIENTATIONS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # Damaged metadata states no orientation; the pixels may still be sound.
        return 1


def flatten(picture: Image.Image, channels: int) -> Image.Image:
    """Any Pillow mode → "L" or "RGB" (`channels` 1 or 3), 8 bits, no transparency.

    Raises:
        CorruptImage: a mode that is no picture (such as floating point).
    """
    mode = "L" if channels == 1 else "RGB"
    if picture.mode.startswith("I"):
        # Pillow's own conversion clips 16-bit greys to 255 where scaling is meant.
        deep = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
        picture = Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
    elif picture.mode == "F":
        raise CorruptImage("floating-point pixels")
    elif picture.mode[-1] in "Aa" or "transparency" in picture.info:
        opaque = picture.convert("RGBA")
        white = Image.new("RGBA", opaque.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, opaque)
    elif picture.mode == "CMYK" and channels == 1:
        picture = picture.convert("RGB")
    return picture.convert(mode)
