"""What can be seen of a stored picture: whether it is sound, how large, and what is unusual about it."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ulzoo.data.decode import FORMATS, CorruptImage, flatten, orientation_of, turned_upright
from ulzoo.data.pictures import MAX_PIXELS

ODDITIES = ("CMYK", "16-bit", "palette", "alpha", "EXIF-rotated", "animated", "one frame")
"""What is read in one way of several: colours are converted, transparency laid over white, and so on; the
last is of videos."""
_QUALITY = 95


@dataclass(frozen=True)
class Facts:
    """A sound picture.

    Attributes:
        format: "JPEG", "PNG", "WEBP", or "pixels" for what is stored decoded.
        width, height: in pixels, upright.
        oddities: some of `ODDITIES`.
    """

    format: str
    width: int
    height: int
    oddities: tuple[str, ...]


def examine(image: bytes | np.ndarray, max_pixels: int = MAX_PIXELS) -> Facts:
    """Reads a picture to its last pixel. Raises CorruptImage."""
    if isinstance(image, np.ndarray):
        height, width = image.shape[:2]
        return Facts("pixels", width, height, ("alpha",) if image.shape[2:] == (4,) else ())
    facts, _ = _read(image, max_pixels, None)
    return facts


def shrunk(image: bytes | np.ndarray, size: int | None, max_pixels: int = MAX_PIXELS) -> tuple[Facts, bytes]:
    """A sound picture as a file whose shorter side is at most `size` pixels, and what it was before.

    A file that is small enough is given back byte for byte. What is made smaller is turned upright and made
    grey or RGB: JPEG of quality 95 without subsampled colours where it was JPEG, else PNG.

    Raises:
        CorruptImage: it is not sound.
    """
    if isinstance(image, np.ndarray):
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image).save(buffer, "PNG")
        return examine(image), shrunk(buffer.getvalue(), size, max_pixels)[1]
    facts, picture = _read(image, max_pixels, size)
    if picture is None or size is None:
        return facts, image
    scale = size / min(facts.width, facts.height)
    target = (max(size, round(facts.width * scale)), max(size, round(facts.height * scale)))
    picture = picture.resize(target, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if facts.format == "JPEG":
        picture.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    else:
        picture.save(buffer, "PNG")
    return facts, buffer.getvalue()


def _read(data: bytes, max_pixels: int, size: int | None) -> tuple[Facts, Image.Image | None]:
    """Facts, and the picture, upright and flat, if its shorter side is more than `size`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own notes on metadata and sizes
            with Image.open(io.BytesIO(data), formats=FORMATS) as file:
                if file.width * file.height > max_pixels:
                    raise CorruptImage(f"{file.width}×{file.height} pixels are more than {max_pixels}")
                width, height, turned = file.width, file.height, orientation_of(file)
                odd = _oddities(file, turned != 1)
                large = size is not None and min(width, height) > size
                if large and (scale := 2 * (size or 1) / min(width, height)) < 1:
                    file.draft(None, (math.ceil(width * scale), math.ceil(height * scale)))
                file.load()
                flat = flatten(file, 1 if file.mode in ("L", "1") else 3) if large else None
                picture = None if flat is None else turned_upright(flat, turned)
    except (MemoryError, CorruptImage):
        raise
    except Exception as error:
        raise CorruptImage(f"{type(error).__name__}: {error}") from error
    if turned > 4:
        width, height = height, width
    return Facts(str(file.format), width, height, odd), picture


def _oddities(file: Image.Image, turned: bool) -> tuple[str, ...]:
    mode = file.mode
    seen = {
        "CMYK": mode == "CMYK",
        "16-bit": mode.startswith("I"),
        "palette": mode in ("P", "PA"),
        "alpha": mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in file.info,
        "EXIF-rotated": turned,
        "animated": getattr(file, "n_frames", 1) > 1,
    }
    return tuple(name for name in ODDITIES if seen.get(name))
