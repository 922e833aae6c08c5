"""Pictures in and out: uint8, channels last: images (h, w, c) with 1, 3 or 4 channels, clips (t, h, w, c)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ulzoo.errors import DataError

Pixels = NDArray[np.uint8]

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_WHITE = 255
# What Pillow and its decoders raise for files that are cut, changed, too large, or no images at all.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def write_png(path: str | Path, image: Pixels, *, enlarge: int = 1) -> None:
    """Writes an image, or a clip as a strip of its frames.

    Args:
        enlarge: how many pixels of the file, across and down, show one of the array.

    Raises:
        ValueError: not a uint8 array of one of the shapes above.
        OSError: the file cannot be written.
    """
    picture = _checked(_flat(image))
    picture = picture.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(path, format="PNG")


def grid(images: Sequence[Pixels] | Pixels, columns: int, *, gap: int = 2) -> Pixels:
    """Images (or clips, as strips) of one shape in rows of `columns`, `gap` white pixels apart; (h, w, c).

    Raises:
        ValueError: no images, or images of several shapes, or not uint8, or columns below 1.
    """
    cells = [_checked(_flat(image)) for image in images]
    if not cells or columns < 1:
        raise ValueError(f"a grid needs images and columns, got {len(cells)} and {columns}")
    if len({cell.shape for cell in cells}) > 1:
        raise ValueError(f"a grid needs images of one shape, got {sorted({cell.shape for cell in cells})}")
    height, width, channels = cells[0].shape
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    sheet = np.full(shape, _WHITE, np.uint8)
    for index, cell in enumerate(cells):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = cell
    return sheet


def side_by_side(*images: Pixels, gap: int = 2) -> Pixels:
    """Images of one shape in a row; clips below each other, such that frames of one time stand together.

    Raises:
        ValueError: as for `grid`.
    """
    clips = any(np.asarray(image).ndim == 4 for image in images)
    return grid(images, columns=1 if clips else len(images), gap=gap)


def strip(clip: Pixels, *, gap: int = 2) -> Pixels:
    """The frames of a clip (t, h, w, c) from left to right."""
    return grid(clip, columns=len(clip), gap=gap)


def read_image(path: str | Path, *, channels: int, size: tuple[int, int] | None = None) -> Pixels:
    """Reads one image file (JPEG, PNG, WebP, …), upright as its EXIF orientation says; (h, w, channels).

    Transparency is laid over white unless `channels` is 4.

    Args:
        channels: 1 (luma), 3 or 4.
        size: (height, width): the largest centred part of that aspect ratio, resized (bicubic, antialiased).
            None keeps all of it in its own size.

    Raises:
        DataError: the file is missing, damaged, or no image that can be read as 8-bit pixels.
    """
    if channels not in _MODES:
        raise ValueError(f"channels must be 1, 3 or 4, got {channels}")
    try:
        with Image.open(path) as file:
            if size is not None:
                # JPEG decodes at a fraction of the size for a fraction of the cost. Twice the size asked for
                # leaves the resizing filter enough; the side is the longer one, as EXIF may turn the picture.
                side = 2 * max(size)
                file.draft(None, (side, side))
            file.load()
            picture = _eight_bits(ImageOps.exif_transpose(file))
    except _UNREADABLE as error:
        raise DataError(f"{path}: cannot be read as an image: {error}") from error
    if channels != 4 and picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert(_MODES[channels])
    if size is not None:
        picture = ImageOps.fit(picture, (size[1], size[0]), method=Image.Resampling.BICUBIC)
    pixels = np.array(picture, np.uint8)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Scales 16-bit grey, which Pillow would cut off at 255. Other deep pixels have no known range."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray(((np.asarray(picture).astype(np.uint32) + 128) // 257).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {picture.mode!r} have no known range")
    return picture


def _flat(image: Pixels) -> Pixels:
    image = np.asarray(image)
    return strip(image) if image.ndim == 4 else image


def _checked(image: Pixels) -> Pixels:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in _MODES or 0 in image.shape:
        raise ValueError(f"expected uint8 (h, w, 1, 3 or 4), got {image.dtype} {image.shape}")
    return image
