"""Whole videos in ArrayRecord shards, as `ulzoo data prepare` writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ulzoo.data.videos import VideoDataset

if TYPE_CHECKING:
    from ulzoo.data.collection import Collection


class VideoRecordConfig(VideoDataset):
    """Clips of videos in ArrayRecord shards with names and labels beside them. A video is read whole into
    memory; GIF and WebP need nothing more, others the extra `video`."""

    type: Literal["ulzoo.video_record.v1"] = "ulzoo.video_record.v1"
    example: ClassVar = {"root": "shards", "size": 64, "frames": 16, "classes": 2}

    labels: Literal["stored", "none"] = "stored"
    """`stored`: the class that is stored with each video; `none`: no labels."""

    _place: ClassVar[str] = "shards"

    def collect(self, root: str) -> Collection:
        """Opens the shards."""
        from ulzoo.data.videos.records import VideoRecords

        return VideoRecords(root, labelled=self.labelled)
