"""What commands write of images and clips, and how they read clips."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ulzoo.clips import Format, at_rate, read_frames, write_clip
from ulzoo.data.decode import Filter, decode
from ulzoo.errors import DataError
from ulzoo.images import Pixels, write_png


def write_result(folder: Path, stem: str, pixels: Pixels, *, enlarge: int, form: Format) -> Path:
    """An image as PNG; a clip (t, h, w, c) in the format asked for."""
    if pixels.ndim == 3:
        path = folder / f"{stem}.png"
        write_png(path, pixels, enlarge=enlarge)
    else:
        path = folder / f"{stem}.{form}"
        write_clip(path, pixels, enlarge=enlarge)
    return path


def read_clip(
    path: Path, shape: tuple[int, ...], *, fps: float | None, resize: Filter = "bicubic", least: int = 1
) -> tuple[np.ndarray, int]:
    """The first frames of a file as a clip of the data's shape: each frame's centre, resized.

    Args:
        shape: (c, t, h, w) of the data.
        fps: frames a second to look at; None takes the frames as they are stored, one by one.
        least: how many frames there must be.

    Returns:
        uint8 (t, h, w, c), black after the file's end, and how many frames the file gave.

    Raises:
        DataError: the file cannot be read, or holds fewer frames than `least`.
        RunError: PyAV is needed and absent.
    """
    channels, frames, height, width = shape
    shown = read_frames(path)
    pictures: Any = (one.picture for one in shown) if fps is None else at_rate(shown, fps)
    found = [
        decode(np.asarray(picture), (height, width), channels=channels, resize=resize)
        for picture in islice(pictures, frames)
    ]
    if len(found) < least:
        raise DataError(f"{path}: has {len(found)} frames, but {least} are needed")
    clip = np.zeros((frames, height, width, channels), np.uint8)
    clip[: len(found)] = found
    return clip, len(found)
