"""Videos as records of shards."""

from __future__ import annotations

from ulzoo.clips import Encoded
from ulzoo.data.collection import Picture
from ulzoo.data.collections.array_record import ArrayRecordCollection
from ulzoo.data.videos.files import Videos


class VideoRecords(ArrayRecordCollection, Videos):
    """Names are those of the files that the records were prepared from; a suffix tells GIF and WebP."""

    kind = "ulzoo videos"

    def encoded(self, picture: Picture) -> Encoded:
        assert isinstance(picture.image, bytes)  # shards hold nothing else
        return Encoded(picture.name, picture.image)
