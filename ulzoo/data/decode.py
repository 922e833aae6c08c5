"""Bytes of one picture file → uint8 (H, W, C) of a wanted size. JPEG, PNG and WebP, by content and not by
name; or pixels that are decoded already.

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

from ulzoo.data.jpeg import jpeg_pixels
from ulzoo.data.pictures import MAX_PIXELS
from ulzoo.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_BYTES = 1 << 28
"""Bytes of an encoded file above which it is not read: no picture within `MAX_PIXELS` needs them."""

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
_NOTES = {"exif", "xmp", "XML:com.adobe.xmp"}
"""Where Pillow looks for an orientation."""


class CorruptImage(Exception):
    """A file that is no readable picture; the text says why."""


def centred() -> tuple[float, float]:
    """The offset of a centre crop."""
    return 0.5, 0.5


def decode(
    data: bytes | np.ndarray,
    size: tuple[int, int],
    *,
    channels: int,
    resize: Filter = "bicubic",
    offset: Offset = centred,
    crop: tuple[int, int] | None = None,
    max_pixels: int | None = None,
) -> np.ndarray:
    """The largest crop of the target's aspect ratio, resized to `size` = (h, w).

    Args:
        data: an encoded file, or pixels, uint8 (h, w) or (h, w, 1, 3 or 4).
        channels: 1 (luma) or 3 (RGB).
        offset: called once, after the picture was read without error.
        crop: (h, w) in pixels of the picture that the crop has at most, in place of the largest. Where that
            is `size`, pixels are copied, not resized.
        max_pixels: by default `MAX_PIXELS`.

    Returns:
        uint8 (h, w, channels).

    Raises:
        CorruptImage: not a picture of a known format, truncated, damaged, or of more than `max_pixels`.
    """
    most = MAX_PIXELS if max_pixels is None else max_pixels
    try:
        if isinstance(data, np.ndarray):
            picture: Image.Image | np.ndarray = _from_pixels(data, channels, most)
        else:
            picture = _read(data, size, channels, crop, most)
    except MemoryError:
        raise
    except CorruptImage:
        raise
    except Exception as error:
        # Pillow's decoders raise nearly anything on damaged files: OSError, SyntaxError, ValueError,
        # struct.error, …
        raise CorruptImage(f"{type(error).__name__}: {error}") from error
    shape = picture.shape[1::-1] if isinstance(picture, np.ndarray) else picture.size
    left, top, right, bottom = crop_box(shape, size, offset(), crop)
    if crop is not None and _scale(shape, size, crop) == 1.0:
        left, top = round(left), round(top)
        if isinstance(picture, np.ndarray):
            return np.ascontiguousarray(picture[top : top + size[0], left : left + size[1]])
        picture = picture.crop((left, top, left + size[1], top + size[0]))
    else:
        if isinstance(picture, np.ndarray):
            picture = Image.fromarray(picture[..., 0] if channels == 1 else picture)
        picture = picture.resize((size[1], size[0]), _FILTERS[resize], box=(left, top, right, bottom))
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels.reshape(*size, channels)


def read_picture(
    path: Path,
    size: tuple[int, int],
    *,
    channels: int,
    resize: Filter = "bicubic",
    crop: tuple[int, int] | None = None,
) -> np.ndarray:
    """One file as a dataset of pictures would give it for evaluation: decoded, its centre resized.

    Args:
        crop: as for `decode`.

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
        return decode(data, size, channels=channels, resize=resize, crop=crop)
    except CorruptImage as error:
        raise DataError(f"{str(path)!r} is damaged, or no JPEG, PNG or WebP picture ({error})") from error


def mirrored(image: np.ndarray) -> np.ndarray:
    """Left to right: a copy of (*space, c) with its last axis of space turned round.

    One colour at a time: NumPy turns rows of three bytes round four times as slowly.
    """
    out = np.empty_like(image)
    for k in range(image.shape[-1]):
        out[..., k] = image[..., ::-1, k]
    return out


def crop_box(
    picture: tuple[int, int],
    size: tuple[int, int],
    offset: tuple[float, float],
    crop: tuple[int, int] | None = None,
) -> tuple[float, float, float, float]:
    """Largest box of the aspect ratio of `size` = (h, w) within a picture of (width, height) pixels.

    Args:
        crop: (h, w) that the box must also lie within.

    Returns:
        (left, top, right, bottom) in pixels, possibly fractional.
    """
    width, height = picture
    scale = _scale(picture, size, crop)
    box_width, box_height = min(size[1] * scale, width), min(size[0] * scale, height)
    top, left = (height - box_height) * offset[0], (width - box_width) * offset[1]
    return left, top, min(left + box_width, width), min(top + box_height, height)


def _scale(picture: tuple[int, int], size: tuple[int, int], crop: tuple[int, int] | None) -> float:
    """Pixels of the picture to one of the target, for the largest crop that is allowed."""
    scale = min(picture[0] / size[1], picture[1] / size[0])
    return scale if crop is None else min(scale, crop[1] / size[1], crop[0] / size[0])


def _from_pixels(pixels: np.ndarray, channels: int, most: int) -> Image.Image:
    if (
        pixels.dtype != np.uint8
        or pixels.ndim not in (2, 3)
        or pixels.shape[2:] not in ((), (1,), (3,), (4,))
    ):
        raise CorruptImage(f"pixels are {pixels.dtype} {pixels.shape}, not uint8 (h, w) or (h, w, 1, 3 or 4)")
    if pixels.shape[0] * pixels.shape[1] > most:
        raise CorruptImage(f"{pixels.shape[1]}×{pixels.shape[0]} pixels are more than {most}")
    return flatten(Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels), channels)


def _read(
    data: bytes, size: tuple[int, int], channels: int, crop: tuple[int, int] | None, most: int
) -> Image.Image | np.ndarray:
    """The picture, upright and of the wanted mode; as an array (h, w, channels) where that was at hand."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as file:
        if file.width * file.height > most:
            raise CorruptImage(f"{file.width}×{file.height} pixels are more than {most}")
        orientation = orientation_of(file)
        turned = orientation in _TURNED
        upright = (file.height, file.width) if turned else (file.width, file.height)
        # JPEG can be decoded at 1/2, 1/4 or 1/8 at a fraction of the cost; twice the target's scale keeps the
        # resize filter's quality. A crop of stated pixels means those of the original, so it is cut at full
        # scale.
        scale = 2 / _scale(upright, size, None) if crop is None else 1.0
        if scale < 1:
            file.draft(None, (math.ceil(file.width * scale), math.ceil(file.height * scale)))
        elif file.format == "JPEG" and orientation == 1 and file.mode == ("L" if channels == 1 else "RGB"):
            pixels = jpeg_pixels(data, file.mode)
            if pixels is not None and pixels.shape[:2] == (file.height, file.width):
                return pixels
        file.load()
        return turned_upright(flatten(file, channels), orientation)


def turned_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """What an EXIF orientation asks for."""
    turn = _ORIENTATIONS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def orientation_of(picture: Image.Image) -> int:
    """EXIF orientation, 1 (upright) to 8; from 5 on, width and height are exchanged."""
    if picture.format == "JPEG" and not _NOTES & picture.info.keys():
        return 1
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
    if picture.mode == mode and "transparency" not in picture.info:
        # Pillow would copy every pixel.
        return picture
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
