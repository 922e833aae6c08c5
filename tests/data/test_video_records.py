"""Videos in shards: what `ulzoo data prepare` keeps, and what `ulzoo data check` finds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ulzoo.cli import main
from ulzoo.clips import Encoded, length, read_frames, write_clip
from ulzoo.data.array_record import ArrayRecordConfig
from ulzoo.data.opening import open_collection
from ulzoo.data.prepare import prepare
from ulzoo.data.videos import VideoFolderConfig
from ulzoo.data.videos.record import VideoRecordConfig
from ulzoo.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Two classes of GIF clips; frame t of video n has the level 10 n + t."""
    for n in range(8):
        path = tmp_path / "videos" / "ab"[n % 2] / f"{n}.gif"
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = np.arange(10 * n, 10 * n + 6, dtype=np.uint8)[:, None, None, None]
        write_clip(path, np.broadcast_to(levels, (6, 10, 14, 1)))
    return tmp_path / "videos"


FIELDS = {"size": 8, "frames": 4, "channels": 1, "heldout_fraction": 0.4}


def test_clips_are_those_of_the_folder(folder, tmp_path):
    before = VideoFolderConfig(root=str(folder), **FIELDS)
    manifest = prepare(before.collect(str(folder)), tmp_path / "out", shards=3)
    after = VideoRecordConfig(root=str(tmp_path / "out"), **FIELDS)
    assert after.io() == before.io()
    for split in ("train", "heldout"):
        old, new = before.open(split), after.open(split)
        assert len(old) == len(new)
        for i in range(len(old)):
            assert old.record_name(i) == new.record_name(i)
            pairs = [(old[i], new[i]), *[(s.draw(i, np.random.default_rng(7)) for s in (old, new))]]
            for one, other in pairs:
                np.testing.assert_array_equal(one["image"], other["image"])
                assert one["label"] == other["label"]
    assert (manifest["kind"], manifest["records"], manifest["frames"]) == ("ulzoo videos", 8, 48)
    assert manifest["seconds"] == pytest.approx(48 / 8, rel=0.05)
    assert manifest["classes"] == ["a", "b"]
    with pytest.raises(DataError, match="holds 'ulzoo videos', not 'ulzoo pictures'"):
        ArrayRecordConfig(root=str(tmp_path / "out"), size=8).open("train")
    assert type(open_collection(str(tmp_path / "out"))).__name__ == "VideoRecords"


def test_broken_videos_by_policy_and_one_frame_ones_are_named(folder, tmp_path, capsys):
    (folder / "a" / "cut.gif").write_bytes((folder / "a" / "0.gif").read_bytes()[:40])
    write_clip(folder / "b" / "still.gif", np.zeros((1, 10, 14, 1), np.uint8))
    text = f"{{type: ulzoo.video_folder.v1, root: {folder}}}"
    assert main(["data", "prepare", text, str(tmp_path / "out"), "--shards", "2"]) == 2
    assert "a/cut.gif is damaged (" in capsys.readouterr().err
    skip = ["--shards", "2", "--corrupt", "skip"]
    assert main(["data", "prepare", text, str(tmp_path / "skip"), *skip]) == 0
    told = capsys.readouterr()
    assert "left out: a/cut.gif" in told.err
    assert "ulzoo.video_record.v1" in told.out
    assert main(["data", "check", text, "--out", str(tmp_path / "report")]) == 1
    found = json.loads((tmp_path / "report" / "check.json").read_text())
    assert list(found["damaged"]) == ["a/cut.gif"]
    assert found["odd"]["one frame"] == ["b/still.gif"]
    assert found["formats"] == {"GIF": 9}
    assert found["bytes"] > 9 * 40


def test_what_is_made_smaller_keeps_its_time(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "videos").mkdir()
    clip = np.zeros((9, 60, 90, 3), np.uint8)
    # A bright bar that moves on by ten columns a frame.
    for t in range(9):
        clip[t, :, 10 * t : 10 * t + 10] = 200
    write_clip(tmp_path / "videos" / "bar.mp4", clip, fps=5)
    config = VideoFolderConfig(root=str(tmp_path / "videos"), size=30, frames=9, labels="none")
    collection = config.collect(config.root)
    manifest = prepare(collection, tmp_path / "out", shards=1, size=30)
    assert manifest["size"] == 30
    assert manifest["originals"]["least_height"] == 60
    records = VideoRecordConfig(root=str(tmp_path / "out"), size=30, frames=9, labels="none")
    picture = records.collect(records.root)[0]
    small = Encoded(picture.name, picture.image)
    frames = list(read_frames(small))
    assert frames[0].picture.size == (44, 30)  # 45 is odd, and 4:2:0 has even sides
    assert [frame.start for frame in frames] == pytest.approx(np.arange(9) / 5, abs=1e-3)
    assert length(small).fps == pytest.approx(5, rel=0.02)
    bars = [np.asarray(frame.picture)[..., 1].mean(0).argmax() for frame in frames]
    assert bars == pytest.approx((10 * np.arange(9) + 5) * 44 / 90, abs=3)


def test_only_what_is_too_large_is_encoded_anew(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "videos").mkdir()
    write_clip(tmp_path / "videos" / "small.mp4", np.zeros((3, 16, 16, 3), np.uint8))
    collection = open_collection(str(tmp_path / "videos"))
    prepare(collection, tmp_path / "out", shards=1, size=16)
    records = open_collection(str(tmp_path / "out"))
    assert records[0].image == (tmp_path / "videos" / "small.mp4").read_bytes()
