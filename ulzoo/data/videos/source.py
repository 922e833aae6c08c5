"""Clips of video files: which files, and which part of each."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from ulzoo.clips import Encoded, Length, Shown, at_rate, length, read_frames
from ulzoo.data.collection import Picture
from ulzoo.data.decode import CorruptImage, Offset, decode
from ulzoo.data.picture_source import PictureSource, check_classes, open_pictures, split_places
from ulzoo.data.source import Record, Split
from ulzoo.data.videos import VideoDataset, VideoFolderConfig
from ulzoo.data.videos.files import ListedVideos, Videos
from ulzoo.errors import DataError


def open_videos(config: VideoDataset, split: Split) -> VideoSource:
    """One split of a dataset of videos. Raises DataError as `open_pictures` does."""
    if isinstance(config, VideoFolderConfig) and config.csv is not None:
        return _open_listed(config, split)
    return open_pictures(config, split, VideoSource)


def _open_listed(config: VideoFolderConfig, split: Split) -> VideoSource:
    collection = ListedVideos(config, split)
    if config.classes is not None:
        check_classes(collection, config.classes)
    places = np.arange(len(collection))
    if not collection.divided:
        places = split_places(collection, config.heldout_fraction, split)
    if not len(places):
        raise DataError(f"no {collection.what} for the {split} split in {collection.where!r}")
    return VideoSource(collection, places, config, classes=collection.num_classes)


class At:
    """Where a crop lies, (vertical, horizontal), and where in time a clip begins: 0 to 1 of the slack."""

    def __init__(self, time: float, place: tuple[float, float]) -> None:
        self.time, self._place = time, place

    def __call__(self) -> tuple[float, float]:
        return self._place


class VideoSource(PictureSource):
    """Clips of one split. Held-out ones are the middle of each video, training ones begin anywhere.

    A video whose end is broken gives the clip at its beginning where another one reaches the break: what a
    clip is depends on the file and its time alone, not on which clips were cut before.
    """

    _config: VideoDataset
    collection: Videos

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # A file is opened once to be asked, and a still format decoded; a second clip of it need not.
        self._lengths: dict[int, Length] = {}
        self._broken: dict[int, str] = {}

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

    @property
    def skipped(self) -> tuple[str, ...]:
        return tuple(sorted(super().faults()))

    def faults(self) -> dict[str, str]:
        """Damaged videos that were met, those with a broken end, and all that the collection knows to be
        missing."""
        with self._lock:
            found = dict(self._broken)
        broken = {self.record_name(index): reason for index, reason in found.items()}
        return {**self.collection.missing, **broken, **super().faults()}

    def _decode(self, place: int, offset: Offset) -> tuple[Picture, np.ndarray]:
        time = offset.time if isinstance(offset, At) else 0.5
        try:
            return self._cut(place, offset, time)
        except CorruptImage as error:
            # Were the video damaged from now on, other clips of it would depend on this one having been asked
            # for: on threads, and on where a run was resumed.
            if self._config.corrupt == "error" or not time:
                raise
            found = self._cut(place, offset, 0.0)
            with self._lock:
                self._broken[place] = f"{error}; clips that reach there are cut from its beginning"
            return found

    def _cut(self, place: int, offset: Offset, time: float) -> tuple[Picture, np.ndarray]:
        config, picture = self._config, self.picture(place)
        clip = self.collection.encoded(picture)
        try:
            known = self._lengths.get(place)
            known = self._lengths[place] = length(clip) if known is None else known
            hold = config.short == "hold"
            frames = clip_frames(clip, config.frames, config.fps, config.stride, time, hold, known)
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
    clip: Encoded,
    frames: int,
    fps: float | None,
    stride: int,
    time: float,
    hold: bool,
    known: Length | None = None,
) -> list[Shown]:
    """`frames` frames of a video.

    Args:
        time: where the clip begins, from 0 (as early as can be) to 1 (as late as can be).
        hold: whether a video that is too short is continued by its last frame.
        known: how long the video is, if that is known.

    Raises:
        DataError: the video is too short, or cannot be read up to the end of the clip.
    """
    seconds, rate = length(clip) if known is None else known
    step = stride / rate if fps is None else 1 / fps
    # The last frame of the clip must still be seen when its time comes.
    slack = max(0.0, seconds - (frames - 1) * step - 1 / rate)
    shown = read_frames(clip, start=time * slack)
    if fps is None:
        found = list(islice(shown, 0, (frames - 1) * stride + 1, stride))
    else:
        found = [Shown(picture, 0.0, 0.0) for picture in islice(at_rate(shown, fps), frames)]
    if not found or (len(found) < frames and not hold):
        raise DataError(f"{clip}: has {len(found)} of the {frames} frames that a clip needs")
    return found + found[-1:] * (frames - len(found))
