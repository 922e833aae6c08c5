"""Pictures inside the page: files as data URIs, small ones as they are, large ones made lighter."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from PIL import Image

from ulzoo.report.numbers import short
from ulzoo.report.reading import RunData

_SMALL = 256
"""Edge in pixels up to which a picture is embedded exactly; above, twelve pairs would weigh tens of MB."""
_THUMBNAIL = 160
_HEAVIEST_CLIP = 4 << 20
"""Bytes."""
_HEAVY = 2048
"""Edge to which a sheet of samples is reduced."""


@dataclass(frozen=True)
class Example:
    """One image of an evaluation.

    Attributes:
        number: in the run's examples, from 0.
        index: place in the split.
        words: class, bits and PSNR, as far as they were recorded.
        original, reconstruction: data URIs, small.
        large: (title, data URI) of what is shown enlarged.
    """

    number: int
    index: int | None
    words: tuple[str, ...]
    original: str
    reconstruction: str
    large: tuple[tuple[str, str], ...]


def sheet(run: RunData) -> str | None:
    """A data URI of a run's grid of samples; None if there is none that can be read.

    What lies between the samples is cut out, so that it is as light or dark as the page. Clips are played.
    """
    if (moving := clip_uri(run.grid_path.with_suffix(".webp"))) is not None:
        return moving
    picture = _opened(run.grid_path)
    if picture is None:
        return None
    columns, rows, gap = (run.grid.get(name) for name in ("columns", "rows", "gap"))
    if isinstance(columns, int) and isinstance(rows, int) and isinstance(gap, int):
        images = run.grid.get("images")
        picture = _without_gaps(picture, columns, rows, gap, images if isinstance(images, int) else None)
    return _uri(_at_most(picture, _HEAVY))


def _without_gaps(
    picture: Image.Image, columns: int, rows: int, gap: int, images: int | None = None
) -> Image.Image:
    """The picture with nothing between its cells, nor in those after the last image; as it is if it cannot
    be such a grid."""
    width, left = divmod(picture.width + gap, columns)
    height, below = divmod(picture.height + gap, rows)
    if left or below or min(width, height) <= gap:
        return picture
    inside = np.zeros((picture.height, picture.width), np.uint8)
    across = np.arange(picture.width) % width < width - gap
    down = np.arange(picture.height) % height < height - gap
    inside[np.ix_(down, across)] = 255
    if images is not None and 0 < images < columns * rows:
        full, rest = divmod(images, columns)
        inside[full * height :, rest * width :] = 0
        inside[(full + bool(rest)) * height :] = 0
    cut = picture.convert("LA" if picture.mode == "L" else "RGBA")
    cut.putalpha(Image.fromarray(inside))
    return cut


def examples(run: RunData) -> list[Example]:
    """A run's reconstructions beside their originals, as far as they can be read."""
    seen = each_of(run, "psnr")
    priced = each_of(run, "bits")
    found = []
    for number in range(max(len(seen), len(priced))):
        pair = [run.examples / f"{number:03d}-{name}" for name in ("original", "reconstruction")]
        facts = {**(seen[number] if number < len(seen) else {})}
        facts |= priced[number] if number < len(priced) else {}
        clips = [clip_uri(path.with_suffix(".webp")) for path in pair]
        if clips[0] is not None and clips[1] is not None:
            moving = (("original", clips[0]), ("reconstruction", clips[1]))
            found.append(Example(number, facts.get("index"), words_of(facts), clips[0], clips[1], moving))
            continue
        original, result = (_opened(path.with_suffix(".png")) for path in pair)
        if original is None or result is None:
            continue
        large = [("original", _uri(original)), ("reconstruction", _uri(result))]
        if (where := facts.get("bits_by_position")) is not None:
            overlay = _overlay(original, np.asarray(where, float))
            if overlay is not None:
                large.append(("bits by position", _uri(overlay)))
        before, after = (_uri(_at_most(picture, _THUMBNAIL)) for picture in (original, result))
        found.append(Example(number, facts.get("index"), words_of(facts), before, after, tuple(large)))
    return found


def words_of(facts: dict[str, Any]) -> tuple[str, ...]:
    """Class, bits and PSNR of one image, as far as they were recorded."""
    words = [f"class {facts['label']}"] if "label" in facts else []
    words += [f"{_bits(facts['bits'])} bits"] if "bits" in facts else []
    words += [f"{facts['psnr']:.1f} dB"] if "psnr" in facts else []
    return tuple(words)


def clip_uri(path: Path) -> str | None:
    """A clip's file as it is; None if there is none that can be read, or one too heavy for a page."""
    if _opened(path) is None or path.stat().st_size > _HEAVIEST_CLIP:
        return None
    return f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode()}"


def picture_uri(path: Path) -> str | None:
    """A picture's data URI; None if there is none that can be read."""
    picture = _opened(path)
    return None if picture is None else _uri(_at_most(picture, _HEAVY))


def _bits(bits: float) -> str:
    return f"{bits:.1f}" if bits < 1000 else short(bits)


def each_of(run: RunData, what: str) -> list[dict[str, Any]]:
    """What was recorded of each example."""
    records = [record for name, record in run.measured.items() if name.endswith(f"/examples/{what}")]
    return list(records[0].extra.get("images", [])) if records else []


def _overlay(original: Image.Image, bits: np.ndarray) -> Image.Image | None:
    """The original in grey under a map of the bits; None for latents or images that are no maps."""
    if bits.ndim != 2 or not bits.size or original.width * bits.shape[0] != original.height * bits.shape[1]:
        return None
    scale = max(1, -(-192 // original.width))
    size = (original.width * scale, original.height * scale)
    grey = original.convert("L").resize(size, Image.Resampling.NEAREST).convert("RGB")
    colours = colormaps["magma"](bits / max(bits.max(), 1e-9), bytes=True)[..., :3]
    heat = Image.fromarray(colours).resize(size, Image.Resampling.NEAREST)
    return Image.blend(grey, heat, 0.6)


def _opened(path: Path) -> Image.Image | None:
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _at_most(picture: Image.Image, edge: int) -> Image.Image:
    if max(picture.size) <= edge:
        return picture
    small = picture.copy()
    small.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    return small


def _uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    exact = max(picture.size) <= _SMALL or picture.mode in ("L", "LA")
    if exact:
        picture.save(buffer, format="PNG", optimize=True)
    else:
        picture.save(buffer, format="WEBP", quality=92)
    kind = "png" if exact else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
