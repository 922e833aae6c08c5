"""A folder of videos as a dataset of clips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from ulzoo.data.pictures import PictureDataset

if TYPE_CHECKING:
    from ulzoo.data.collection import Collection
    from ulzoo.data.source import Source, Split
    from ulzoo.interfaces import DataIO


class VideoFolderConfig(PictureDataset):
    """Clips of the videos of a folder, at any depth; each folder directly under the root may be a class. GIF
    and WebP need nothing more, MP4, WebM, AVI, MOV and MKV the extra `video`."""

    type: Literal["ulzoo.video_folder.v1"] = "ulzoo.video_folder.v1"
    example: ClassVar = {"root": "videos", "size": 64, "frames": 16, "classes": 2}

    frames: Annotated[int, Field(ge=1, le=1024)]
    """Frames of a clip."""

    fps: Annotated[float, Field(gt=0, le=240)] | None = None
    """Frames a second that a clip shows, by the time stamps of the video; null: every `stride`-th frame as it
    is stored."""

    stride: Annotated[int, Field(ge=1, le=64)] = 1
    """Without `fps`: how many stored frames lie from one frame of a clip to the next."""

    short: Literal["damaged", "hold"] = "damaged"
    """A video that is shorter than a clip: counts as damaged (see `corrupt`), or its last frame stays."""

    labels: Literal["folder", "none"] = "folder"  # type: ignore[assignment]
    """`folder`: the class of a video is the folder directly under `root`; `none`: no labels."""

    _place: ClassVar[str] = "folder"

    def collect(self, root: str) -> Collection:
        """Lists the folder."""
        from ulzoo.data.videos.source import VideoFiles

        return VideoFiles(root, labelled=self.labelled)

    def io(self) -> DataIO:
        """Shape (channels, frames, height, width) and number of classes, as for pictures."""
        from ulzoo.interfaces import DataIO

        frame = super().io()
        return DataIO((self.channels, self.frames, *self.height_width), frame.num_classes)

    def open(self, split: Split) -> Source:
        """Opens the folder and chooses the videos of the split."""
        from ulzoo.data.videos.source import open_videos

        return open_videos(self, split)
