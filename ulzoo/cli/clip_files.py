"""What commands write of images and clips, and how they read clips."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ulzoo.clips import FRAMES_PER_SECOND, Format, Shown, at_rate, open_av, read_frames, write_clip
from ulzoo.data.decode import decode, read_picture
from ulzoo.data.viewing import Viewing
from ulzoo.errors import DataError
from ulzoo.images import Pixels, write_png

PICTURES = (".png", ".jpg", ".jpeg")
"""Suffixes of files that hold one picture, and are a clip of one frame."""


class Seen(NamedTuple):
    """What was read of a file.

    Attributes:
        clip: uint8 (t, h, w, c), black after the file's end.
        frames: how many of them the file gave.
        fps: how many of them the file shows a second, on average.
    """

    clip: np.ndarray
    frames: int
    fps: float


def is_picture(path: Path) -> bool:
    """Whether a file is a single picture: by its suffix, and a WebP if it has one frame."""
    suffix = path.suffix.lower()
    if suffix != ".webp":
        return suffix in PICTURES
    try:
        with Image.open(path) as picture:
            return getattr(picture, "n_frames", 1) == 1
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # Whoever reads it says what is wrong with it.
        return False


def check_format(form: Format) -> None:
    """Before anything is computed that would be written in it. Raises RunError for MP4 without PyAV."""
    if form == "mp4":
        open_av("writing MP4")


def write_result(
    folder: Path, stem: str, pixels: Pixels, *, enlarge: int, form: Format, fps: float | None = None
) -> Path:
    """An image as PNG; a clip (t, h, w, c) in the format asked for.

    Args:
        fps: frames of a clip that are shown a second; None: as where nothing is known.
    """
    if pixels.ndim == 3:
        path = folder / f"{stem}.png"
        write_png(path, pixels, enlarge=enlarge)
    else:
        path = folder / f"{stem}.{form}"
        write_clip(path, pixels, enlarge=enlarge, fps=fps or FRAMES_PER_SECOND)
    return path


def frames_seen(path: Path, view: Viewing) -> Iterator[Shown]:
    """The frames that a dataset would take of a file, from its beginning.

    Raises:
        DataError: the file cannot be read.
        RunError: PyAV is needed and absent.
    """
    shown = read_frames(path)
    if view.fps is None:
        yield from islice(shown, 0, None, view.stride)
        return
    for number, picture in enumerate(at_rate(shown, view.fps)):
        yield Shown(picture, number / view.fps, (number + 1) / view.fps)


def mean_rate(starts: list[float]) -> float:
    """Frames a second, from the times in seconds at which frames begin to be seen."""
    span = starts[-1] - starts[0] if starts else 0.0
    return (len(starts) - 1) / span if span > 0 else FRAMES_PER_SECOND


def picture_seen(path: Path, shape: tuple[int, ...], view: Viewing) -> np.ndarray:
    """A picture as the data would show it, uint8 (h, w, c) of `shape` (c, h, w). Raises DataError."""
    channels, height, width = shape
    return read_picture(path, (height, width), channels=channels, resize=view.resize, crop=view.crop)


def read_clip(path: Path, shape: tuple[int, ...], view: Viewing, *, least: int = 1) -> Seen:
    """The first frames of a file as a clip of the data's shape: each frame's centre, resized. A picture is a
    clip of one frame.

    Args:
        shape: (c, t, h, w) of the data.
        least: how many frames there must be.

    Raises:
        DataError: the file cannot be read, or holds fewer frames than `least`.
        RunError: PyAV is needed and absent.
    """
    channels, frames, height, width = shape
    starts, found = [], []
    if is_picture(path):
        found.append(picture_seen(path, (channels, height, width), view))
    else:
        for shown in islice(frames_seen(path, view), frames):
            picture, size = np.asarray(shown.picture), (height, width)
            found.append(decode(picture, size, channels=channels, resize=view.resize, crop=view.crop))
            starts.append(shown.start)
    if len(found) < least:
        raise DataError(f"{path}: has {len(found)} frames, but {least} are needed")
    clip = np.zeros((frames, height, width, channels), np.uint8)
    clip[: len(found)] = found
    return Seen(clip, len(found), view.fps or mean_rate(starts))
