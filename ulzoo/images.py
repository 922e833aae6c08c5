"""Pictures out: uint8, channels last: images (h, w, c) with 1, 3 or 4 channels, clips (t, h, w, c)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

_CHANNELS = (1, 3, 4)
_WHITE = 255


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


def _flat(image: Pixels) -> Pixels:
    image = np.asarray(image)
    return strip(image) if image.ndim == 4 else image


def _checked(image: Pixels) -> Pixels:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in _CHANNELS or 0 in image.shape:
        raise ValueError(f"expected uint8 (h, w, 1, 3 or 4), got {image.dtype} {image.shape}")
    return image
