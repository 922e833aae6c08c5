"""Clips of video files: which files, and which part of each."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from ulzoo.clips import Shown, at_rate, length, read_frames
from ulzoo.data.collection import NamedCollection, Names, Picture
from ulzoo.data.collections.folder import folder_labels
from ulzoo.data.decode import CorruptImage, Offset, decode
from ulzoo.data.listing import find_pictures, folder_classes
from ulzoo.data.picture_source import PictureSource, open_pictures
from ulzoo.data.source import Record, Split
from ulzoo.data.storage import is_remote, local
from ulzoo.data.videos import VideoFolderConfig
from ulzoo.errors import DataError

SUFFIXES = (".mp4", ".webm", ".avi", ".mov", ".mkv", ".gif", ".webp")


class VideoFiles(NamedCollection):
    """Videos at any depth below a local folder; a name is a relative path, a class the first part of it."""

    has_captions = False
    what = f"videos ({', '.join(SUFFIXES)})"

    def __init__(self, root: str, *, labelled: bool) -> None:
        if is_remote(root):
            raise DataError(f"{root!r}: videos are read from local folders; copy them first")
        self.folder = local(root).absolute()
        names = Names.of(find_pictures(local(root), suffixes=SUFFIXES))
        labels = None
        if labelled:
            self.class_names = tuple(folder_classes(names, root))
            labels = folder_labels(names, self.class_names)
        super().__init__(root, names, labels)

    def __getitem__(self, index: int) -> Picture:
        # The file is read frame by frame when a clip is cut from it: a whole one could be gigabytes.
        return Picture(self.name(index), b"", self.label(index))


def open_videos(config: VideoFolderConfig, split: Split) -> VideoSource:
    """One split of a folder of videos. Raises DataError as `open_pictures` does."""
    return open_pictures(config, split, VideoSource)


class At:
    """Where a crop lies, (vertical, horizontal), and where in time a clip begins: 0 to 1 of the slack."""

    def __init__(self, time: float, place: tuple[float, float]) -> None:
        self.time, self._place = time, place

    def __call__(self) -> tuple[float, float]:
        return self._place


class VideoSource(PictureSource):
    """Clips of one split. Held-out ones are the middle of each video, training ones begin anywhere."""

    _config: VideoFolderConfig
    collection: VideoFiles

    def __getitem__(self, index: int) -> Record:
        return self._record(index, At(0.5, (0.5, 0.5)))

    def draw(self, index: int, rng: np.random.Generator) -> Record:
        """A clip from a random time, with a random crop and flip where the config asks for them."""
        time, down, across = rng.random(3)
        random_crop = self._config.crop == "random"
        record = self._record(index, At(time, (down, across) if random_crop else (0.5, 0.5)))
        if self._config.flip and rng.random() < 0.5:
            record["image"] = np.ascontiguousarray(record["image"][:, :, ::-1])
        return record

    def augmentation(self) -> str:
        return "random"

    def _decode(self, place: int, offset: Offset) -> tuple[Picture, np.ndarray]:
        config, picture = self._config, self.picture(place)
        path = self.collection.folder / picture.name
        time = offset.time if isinstance(offset, At) else 0.5
        try:
            frames = clip_frames(path, config.frames, config.fps, config.stride, time, config.short == "hold")
            shown = [
                decode(
                    np.asarray(one.picture),
                    config.height_width,
                    channels=config.channels,
                    resize=config.resize,
                    offset=offset,
                    crop=config.crop_height_width,
                    max_pixels=config.max_pixels,
                )
                for one in frames
            ]
        except DataError as error:
            raise CorruptImage(str(error).partition(": ")[2] or str(error)) from error
        return picture, np.stack(shown)


def clip_frames(
    path: Path, frames: int, fps: float | None, stride: int, time: float, hold: bool
) -> list[Shown]:
    """`frames` frames of a video.

    Args:
        time: where the clip begins, from 0 (as early as can be) to 1 (as late as can be).
        hold: whether a video that is too short is continued by its last frame.

    Raises:
        DataError: the video is too short, or cannot be read up to the end of the clip.
    """
    seconds, rate = length(path)
    step = stride / rate if fps is None else 1 / fps
    # The last frame of the clip must still be seen when its time comes.
    slack = max(0.0, seconds - (frames - 1) * step - 1 / rate)
    shown = read_frames(path, start=time * slack)
    if fps is None:
        found = list(islice(shown, 0, (frames - 1) * stride + 1, stride))
    else:
        found = [Shown(picture, 0.0, 0.0) for picture in islice(at_rate(shown, fps), frames)]
    if not found or (len(found) < frames and not hold):
        raise DataError(f"{path}: has {len(found)} of the {frames} frames that a clip needs")
    return found + found[-1:] * (frames - len(found))
