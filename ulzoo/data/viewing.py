"""How a dataset looks at its files, so that other files can be looked at in the same way."""

from __future__ import annotations

from typing import Any, NamedTuple

from ulzoo.data.decode import Filter


class Viewing(NamedTuple):
    """What a dataset sees of a video or a picture.

    Attributes:
        fps: frames a second, by time stamps; None: every `stride`-th frame as it is stored.
        resize: the filter that frames are resized by.
        crop: (h, w) in pixels of the file that a crop has at most; None: the largest.
    """

    fps: float | None = None
    stride: int = 1
    resize: Filter = "bicubic"
    crop: tuple[int, int] | None = None


def viewing(data: Any, fps: float | None = None) -> Viewing:
    """Of a dataset; with images beside its clips, of the clips. What one does not say is as stored.

    Args:
        fps: in place of the dataset's.
    """
    clips = getattr(data, "clips", data)
    usual = Viewing()
    return Viewing(
        fps=getattr(clips, "fps", usual.fps) if fps is None else fps,
        stride=getattr(clips, "stride", usual.stride),
        resize=getattr(clips, "resize", usual.resize),
        crop=getattr(clips, "crop_height_width", usual.crop),
    )
