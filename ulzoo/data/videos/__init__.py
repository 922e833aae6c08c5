"""A folder of videos as a dataset of clips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ulzoo.data.pictures import PictureDataset
from ulzoo.spec.effect import Later

if TYPE_CHECKING:
    from ulzoo.data.collection import Collection
    from ulzoo.data.source import Source, Split
    from ulzoo.interfaces import DataIO


class VideoDataset(PictureDataset):
    """Fields of every dataset of stored videos, of which clips are cut."""

    frames: Annotated[int, Field(ge=1, le=1024)]
    """Frames of a clip."""

    fps: Annotated[float, Field(gt=0, le=240)] | None = None
    """Frames a second that a clip shows, by the time stamps of the video; null: every `stride`-th frame as it
    is stored."""

    stride: Annotated[int, Field(ge=1, le=64)] = 1
    """Without `fps`: how many stored frames lie from one frame of a clip to the next."""

    short: Literal["damaged", "hold"] = "damaged"
    """A video that is shorter than a clip: counts as damaged (see `corrupt`), or its last frame stays."""

    def io(self) -> DataIO:
        """Shape (channels, frames, height, width) and number of classes, as for pictures."""
        from ulzoo.interfaces import DataIO

        frame = super().io()
        return DataIO((self.channels, self.frames, *self.height_width), frame.num_classes)

    def open(self, split: Split) -> Source:
        """Opens the videos and chooses those of the split."""
        from ulzoo.data.videos.source import open_videos

        return open_videos(self, split)


class VideoFolderConfig(VideoDataset):
    """Clips of the videos of a folder, at any depth; each folder directly under the root may be a class, or a
    table names the videos and their classes. GIF and WebP need nothing more, MP4, WebM, AVI, MOV and MKV the
    extra `video`."""

    type: Literal["ulzoo.video_folder.v1"] = "ulzoo.video_folder.v1"
    example: ClassVar = {"root": "videos", "size": 64, "frames": 16, "classes": 2}

    labels: Literal["folder", "csv", "none"] = "folder"  # type: ignore[assignment]
    """`folder`: the class of a video is the folder directly under `root`; `csv`: the table `csv` says which
    videos there are and of what class; `none`: no labels."""

    csv: Annotated[str, Field(min_length=1), Later()] | None = None
    """With `labels: csv`: a table in the layout of Kinetics, with the columns label, youtube_id, time_start,
    time_end, split; its rows are the videos YOUTUBE-ID_START_END.mp4 (whole seconds in six digits, any
    suffix), at any depth below `root`. Rows of the split `train` are trained on."""

    heldout_csv: Annotated[str, Field(min_length=1), Later()] | None = None
    """A table of the held-out videos alone, of whatever split; null: rows of `heldout_split` in `csv`, and
    `heldout_fraction` of the rows of `train` if there are none."""

    heldout_split: Annotated[Literal["validate", "test"], Later()] = "validate"
    """Which rows of `csv` are held out; `val` and `validation` are other words for `validate`."""

    missing: Annotated[Literal["error", "skip"], Later()] = "error"
    """What to do with rows whose video is not there: stop and say how many, or go on without them and count
    them among the run's damaged records."""

    _place: ClassVar[str] = "folder"

    @model_validator(mode="after")
    def _a_table_for_labels(self) -> VideoFolderConfig:
        if (self.labels == "csv") != (self.csv is not None):
            raise ValueError(
                f"labels: csv and the field csv belong together, got {self.labels!r}, {self.csv!r}"
            )
        for name in ("heldout_csv", "heldout_split", "missing"):
            default = type(self).model_fields[name].default
            if self.csv is None and getattr(self, name) != default:
                raise ValueError(f"{name} must not be given without csv, got {getattr(self, name)!r}")
        return self

    def collect(self, root: str) -> Collection:
        """Lists the folder; with a table, the videos of training, or at `heldout_root` the held-out ones."""
        from ulzoo.data.videos.files import ListedVideos, VideoFiles

        if self.csv is None:
            return VideoFiles(root, labelled=self.labelled)
        return ListedVideos(self, "heldout" if root == self.heldout_root != self.root else "train")
