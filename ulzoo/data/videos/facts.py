"""What can be seen of a stored video: whether it is sound to its last frame, how large, how long."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ulzoo.clips import Encoded, Shown, open_av, read_frames
from ulzoo.data.decode import CorruptImage
from ulzoo.data.storage import read_whole
from ulzoo.errors import DataError

_TICKS = 90_000
"""Of a second: what the time stamps of most containers are whole numbers of."""
_QUALITY = "12"
"""H.264's constant rate factor: small differences, seldom seen."""


@dataclass(frozen=True)
class ClipFacts:
    """A sound video.

    Attributes:
        format: by its suffix, such as "MP4".
        width, height: of its first frame in pixels, upright.
        frames: that it shows.
        seconds: that it lasts.
        first: its first frame.
    """

    format: str
    width: int
    height: int
    frames: int
    seconds: float
    first: Image.Image


def examine_clip(clip: Encoded, max_pixels: int) -> ClipFacts:
    """Reads a video to its last frame, one at a time. Raises CorruptImage."""
    return _read(clip, max_pixels, lambda frame: None)


def shrunk_clip(clip: Encoded, size: int | None, max_pixels: int) -> tuple[ClipFacts, bytes]:
    """A sound video as a file whose shorter side is at most `size` pixels, and what it was before.

    A file that is small enough is given back byte for byte, as are GIF and WebP. What is made smaller is
    turned upright and encoded anew: MP4, H.264 of a high quality in 4:2:0, sides even, each frame seen when
    it was seen before.

    Raises:
        CorruptImage: it is not sound.
        RunError: a container other than GIF and WebP without PyAV.
    """
    facts = examine_clip(clip, max_pixels)
    if size is None or clip.still or min(facts.width, facts.height) <= size:
        return facts, read_whole(clip.name) if clip.data is None else clip.data
    scale = size / min(facts.width, facts.height)
    target = (_even(facts.width * scale), _even(facts.height * scale))
    buffer = io.BytesIO()
    with open_av(f"writing {clip}").open(buffer, "w", format="mp4") as container:
        rate = Fraction(facts.frames / facts.seconds).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *target, "yuv420p"
        stream.options = {"crf": _QUALITY}
        stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS)
        writer = _Writer(container, stream, target)
        _read(clip, max_pixels, writer)
        for packet in stream.encode():
            container.mux(packet)
    return facts, buffer.getvalue()


class _Writer:
    """Encodes one frame after another at a smaller size."""

    def __init__(self, container: Any, stream: Any, size: tuple[int, int]) -> None:
        self._container, self._stream, self._size = container, stream, size
        self._first: float | None = None

    def __call__(self, shown: Shown) -> None:
        self._first = shown.start if self._first is None else self._first
        small = shown.picture.resize(self._size, Image.Resampling.LANCZOS)
        frame = open_av("writing MP4").VideoFrame.from_ndarray(np.asarray(small), "rgb24")
        frame.pts, frame.time_base = round((shown.start - self._first) * _TICKS), Fraction(1, _TICKS)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def _read(clip: Encoded, max_pixels: int, each: Any) -> ClipFacts:
    first, last, count = None, None, 0
    try:
        for shown in read_frames(clip):
            if first is None:
                width, height = shown.picture.size
                if width * height > max_pixels:
                    raise CorruptImage(f"{width}×{height} pixels are more than {max_pixels}")
                first = shown
            each(shown)
            last, count = shown, count + 1
    except DataError as error:
        raise CorruptImage(str(error).removeprefix(f"{clip}: ")) from error
    if first is None or last is None:
        raise CorruptImage("has no frame")
    name = Path(clip.name).suffix.removeprefix(".").upper()
    return ClipFacts(name, *first.picture.size, count, last.end - first.start, first.picture)


def _even(size: float) -> int:
    return max(2, 2 * round(size / 2))
