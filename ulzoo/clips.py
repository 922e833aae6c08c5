"""Clips in and out of files: uint8 (t, h, w, c), channels last, 1 or 3 channels.

GIF and WebP go through Pillow; MP4 and other containers through PyAV, the extra `video`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageSequence

from ulzoo.errors import DataError, RunError
from ulzoo.images import Pixels, grid

Format = Literal["webp", "gif", "mp4"]
FORMATS: tuple[Format, ...] = ("webp", "gif", "mp4")

FRAMES_PER_SECOND = 8
"""Of clips whose data does not say: slow enough to see each frame."""

_MOMENT = 1e-4
"""Seconds: times are rounded to the ticks of their containers."""

_SHORTEST = {".gif": 20, ".webp": 1}
"""Milliseconds of a frame: players take what is shorter in a GIF for ten frames a second."""

_NEEDS_AV = "pip install 'ulzoo[video]'"
_STILL_IMAGES = (".gif", ".webp")


def write_clip(path: str | Path, clip: Pixels, *, fps: float = FRAMES_PER_SECOND, enlarge: int = 1) -> None:
    """Writes a clip in the format that the path's suffix names; GIF and WebP repeat for ever.

    WebP is lossless; GIF has 256 colours; both show equal frames in a row as one that lasts longer. MP4 is
    H.264 in 4:2:0, padded by its last row and column to even sides.

    Args:
        enlarge: how many pixels of the file, across and down, show one of the array.

    Raises:
        ValueError: not a uint8 clip of 1 or 3 channels, or a suffix that is none of these.
        RunError: MP4 without PyAV.
        OSError: the file cannot be written.
    """
    path = Path(path)
    clip = np.asarray(clip)
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[3] not in (1, 3) or 0 in clip.shape:
        raise ValueError(f"expected uint8 (t, h, w, 1 or 3), got {clip.dtype} {clip.shape}")
    clip = clip.repeat(enlarge, axis=1).repeat(enlarge, axis=2)
    match path.suffix.lower():
        case ".webp" | ".gif":
            frames = [Image.fromarray(frame[..., 0] if frame.shape[2] == 1 else frame) for frame in clip]
            options: dict[str, Any] = {"lossless": True} if path.suffix.lower() == ".webp" else {}
            lasts = max(round(1000 / fps), _SHORTEST[path.suffix.lower()])
            frames[0].save(path, save_all=True, append_images=frames[1:], duration=lasts, loop=0, **options)
        case ".mp4":
            _write_mp4(path, clip, fps)
        case _:
            raise ValueError(f"{path}: clips are written as {', '.join(FORMATS)}")


def _write_mp4(path: Path, clip: Pixels, fps: float) -> None:
    av = open_av("writing MP4")
    from fractions import Fraction

    height, width = clip.shape[1:3]
    clip = np.pad(clip, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    clip = clip if clip.shape[3] == 3 else clip.repeat(3, axis=3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = clip.shape[2], clip.shape[1], "yuv420p"
        stream.options = {"crf": "12"}
        for frame in clip:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


class Encoded(NamedTuple):
    """A clip as a file, or as the bytes of one.

    Attributes:
        name: path of the file; with `data` what messages call it. The suffix tells GIF and WebP from others.
        data: all of the file, None if it is to be read from `name`.
    """

    name: str
    data: bytes | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def still(self) -> bool:
        """Whether Pillow reads it."""
        return self.name.lower().endswith(_STILL_IMAGES)

    def size(self) -> int:
        """Bytes."""
        return Path(self.name).stat().st_size if self.data is None else len(self.data)

    def file(self) -> Any:
        """The whole of it as a binary file; close it."""
        return open(self.name, "rb") if self.data is None else io.BytesIO(self.data)

    def opened(self) -> Any:
        """What PyAV and Pillow open."""
        return self.name if self.data is None else io.BytesIO(self.data)


def _encoded(clip: str | Path | Encoded) -> Encoded:
    return clip if isinstance(clip, Encoded) else Encoded(str(clip))


class Shown(NamedTuple):
    """A frame, and when it is seen: from `start` up to `end`, in seconds."""

    picture: Image.Image
    start: float
    end: float


class Length(NamedTuple):
    """How long a clip is as its file says: seconds, and stored frames a second on average."""

    seconds: float
    fps: float


def length(path: str | Path | Encoded) -> Length:
    """How long a file is, without decoding it where the file says so.

    Raises:
        DataError: the file is missing or no clip.
        RunError: a container other than GIF and WebP without PyAV.
    """
    clip = _encoded(path)
    if clip.still:
        shown = list(_read_still(clip))
        return Length(shown[-1].end, len(shown) / shown[-1].end)
    av = open_av(f"reading {clip}")
    try:
        with av.open(clip.opened()) as container:
            stream = _video_stream(container, clip)
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            if stream.duration is not None:
                seconds = float(stream.duration * stream.time_base)
            elif container.duration is not None:
                seconds = container.duration / av.time_base
            else:
                seconds = stream.frames / rate
            return Length(seconds, rate)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"{clip}: cannot be read as a clip: {error}") from error


def read_frames(path: str | Path | Encoded, *, start: float = 0.0) -> Iterator[Shown]:
    """The frames of a file as stored, in order of time, upright, RGB.

    Args:
        start: seconds after the first frame; the first frame that is given is the one seen then.

    Raises:
        DataError: the file is missing, no clip, or damaged: frames before the damage have been given.
        RunError: a container other than GIF and WebP without PyAV.
    """
    clip = _encoded(path)
    if clip.still:
        return (frame for frame in _read_still(clip) if frame.end > start + _MOMENT)
    return _read_container(clip, start)


def at_rate(frames: Iterable[Shown], fps: float) -> Iterator[Image.Image]:
    """What is seen every 1/`fps` seconds from the first frame on: clips of varying frame rate made even."""
    number, first = 0, None
    for frame in frames:
        first = frame.start if first is None else first
        # A thousandth of a frame: sums of rounded times must not lose one.
        while first + (number + 1e-3) / fps < frame.end:
            yield frame.picture
            number += 1


def _read_still(clip: Encoded) -> Iterator[Shown]:
    try:
        with Image.open(clip.opened()) as picture:
            start = 0.0
            for frame in ImageSequence.Iterator(picture):
                upright = frame.convert("RGB")
                # Known once the frame is decoded. Files without durations are shown ten frames a second.
                end = start + (frame.info.get("duration") or 100) / 1000
                yield Shown(upright, start, end)
                start = end
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{clip}: cannot be read as a clip: {error}") from error


def _read_container(clip: Encoded, begin: float) -> Iterator[Shown]:
    try:
        yield from _decoded(clip, begin, seek=begin > 0)
    except _LandedLate:
        # A container whose index is wrong or whose frames have no times: from its beginning, then.
        yield from _decoded(clip, begin, seek=False)


class _LandedLate(Exception):
    """The first frame after a seek is later than what was looked for, does not say when it is, or is none."""


def _decoded(clip: Encoded, begin: float, *, seek: bool) -> Iterator[Shown]:
    av = open_av(f"reading {clip}")
    try:
        with av.open(clip.opened()) as container:
            stream = _video_stream(container, clip)
            # Threads come with readers, each of which has a file of its own.
            stream.thread_type = "NONE"
            usual = 1 / float(stream.average_rate or stream.guessed_rate or 25)
            first = float((stream.start_time or 0) * stream.time_base)
            if seek:
                # To the key frame before; some containers cannot, and are decoded from their beginning.
                with suppress(av.error.FFmpegError):
                    container.seek(int((first + begin) / stream.time_base), stream=stream)
            before: tuple[Any, float] | None = None
            for frame in container.decode(stream):
                start = frame.time
                if seek and before is None and (start is None or start > first + begin + _MOMENT):
                    raise _LandedLate
                if start is None:
                    start = first if before is None else before[1] + usual
                # Only frames that are seen are turned into pictures.
                if before is not None and start > first + begin + _MOMENT:
                    yield _shown(*before, start)
                before = (frame, start)
            if seek and before is None:
                raise _LandedLate
            if before is not None and before[1] + usual > first + begin + _MOMENT:
                yield _shown(*before, before[1] + usual)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"{clip}: cannot be read as a clip: {error}") from error


def _shown(frame: Any, start: float, end: float) -> Shown:
    picture = frame.to_image()
    # The rows as stored; players turn them by so many degrees counter-clockwise.
    turned = getattr(frame, "rotation", 0) or 0
    return Shown(picture.rotate(turned, expand=True) if turned % 360 else picture, start, end)


def _video_stream(container: Any, path: Encoded) -> Any:
    if not container.streams.video:
        raise DataError(f"{path}: holds no video")
    return container.streams.video[0]


def open_av(what: str) -> Any:
    """The module PyAV. Raises RunError where it is not installed; names the extra."""
    try:
        import av
    except ImportError as error:
        raise RunError(f"{what} needs PyAV, not installed here\n    {_NEEDS_AV}") from error
    return av


def animated_grid(clips: Sequence[Pixels] | Pixels, columns: int, *, gap: int = 2) -> Pixels:
    """Clips of one shape beside each other, as one clip (t, h, w, c) whose frames are grids.

    Raises:
        ValueError: as for `ulzoo.images.grid`.
    """
    return np.stack([grid([clip[t] for clip in clips], columns, gap=gap) for t in range(len(clips[0]))])


GIVEN = (255, 160, 0)
"""Colour of the border of given frames: seen on white as on black."""


def marked(clip: Pixels, given: np.ndarray) -> Pixels:
    """The clip in three channels, with a border of one pixel: of the colour `GIVEN` around the frames that
    were given, black around the others.

    Args:
        clip: of 1 or 3 channels.
        given: bool (t,).
    """
    framed = np.pad(clip.repeat(3 // clip.shape[3], axis=3), ((0, 0), (1, 1), (1, 1), (0, 0)))
    bright = framed[given]
    bright[:, [0, -1]], bright[:, :, [0, -1]] = GIVEN, GIVEN
    framed[given] = bright
    return framed
