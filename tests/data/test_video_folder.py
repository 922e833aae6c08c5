"""Videos of a folder: real files of several codecs, frame rates and turns, whole and broken."""

import contextlib
import subprocess
from fractions import Fraction
from shutil import which

import numpy as np
import pytest
from PIL import Image

from ulzoo.clips import length, read_frames, write_clip
from ulzoo.data.pipeline import batches
from ulzoo.data.videos import VideoFolderConfig
from ulzoo.data.videos.source import clip_frames
from ulzoo.errors import DataError

av = pytest.importorskip("av")

STEP = 8
"""Grey levels from one frame to the next: H.264 and VP9 keep flat greys to a few levels."""


def grey(t, height=32, width=48):
    """Frame t: its number is its grey; the left half is darker, so that turns are seen."""
    frame = np.full((height, width, 3), 16 + STEP * t, np.uint8)
    frame[:, : width // 2] //= 2
    return frame


def write_video(path, times, *, codec="libx264", ticks=1000):
    """Frames 0, 1, … shown at the given times, in seconds, which are kept to 1/`ticks`."""
    tick = Fraction(1, ticks)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.time_base = stream.codec_context.time_base = tick
        stream.bit_rate = 4_000_000
        stream.options = {"g": "5"}
        for t, seconds in enumerate(times):
            frame = av.VideoFrame.from_ndarray(grey(t), "rgb24")
            frame.pts, frame.time_base = round(seconds * ticks), tick
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def numbers(frames):
    """Which frame each picture is."""
    return [round((float(np.asarray(one.picture)[8:24, 30:40].mean()) - 16) / STEP) for one in frames]


EVEN = np.arange(24) / 10
CODECS = [("mp4", "libx264"), ("webm", "libvpx-vp9"), ("avi", "mpeg4"), ("mkv", "libx264")]


@pytest.mark.parametrize(("suffix", "codec"), CODECS)
def test_every_frame_and_any_beginning(tmp_path, suffix, codec):
    path = tmp_path / f"clip.{suffix}"
    # AVI has one fixed rate.
    write_video(path, EVEN, codec=codec, ticks=10 if suffix == "avi" else 1000)
    assert numbers(read_frames(path)) == list(range(24))
    seconds, fps = length(path)
    # Containers round durations to their ticks, or count from the first time stamp.
    assert seconds == pytest.approx(2.4, abs=0.11)
    assert fps == pytest.approx(10, rel=0.06)
    assert numbers(read_frames(path, start=1.25))[:3] == [12, 13, 14]
    assert numbers(clip_frames(path, 4, None, 2, 0.0, False)) == [0, 2, 4, 6]
    assert numbers(clip_frames(path, 4, 5, 1, 0.0, False)) == [0, 2, 4, 6]
    # The latest clip ends with the last frame, whatever the container says of its length.
    assert numbers(clip_frames(path, 4, None, 1, 1.0, False))[-1] in (22, 23)


def test_a_varying_frame_rate_goes_by_time(tmp_path):
    path = tmp_path / "clip.mp4"
    write_video(path, [0.0, 0.1, 0.2, 0.6, 0.7, 1.5, 1.6, 1.7])
    assert numbers(clip_frames(path, 8, 10, 1, 0.0, False)) == [0, 1, 2, 2, 2, 2, 3, 4]
    assert numbers(clip_frames(path, 8, None, 1, 0.0, False)) == list(range(8))


class Seeking:
    """A container that seeks in another way than it should."""

    def __init__(self, container, seek):
        self._container, self._seek = container, seek

    def __enter__(self):
        self._container.__enter__()
        return self

    def __exit__(self, *error):
        return self._container.__exit__(*error)

    def __getattr__(self, name):
        return getattr(self._container, name)

    def seek(self, offset, stream):
        self._seek(self._container, offset, stream)


def too_late(container, offset, stream):
    container.seek(offset + int(0.8 / stream.time_base), stream=stream)


def refused(container, offset, stream):
    raise av.error.PermissionError(1, "no seeking here")


@pytest.mark.parametrize("seek", [too_late, refused])
def test_a_seek_that_errs_costs_time_and_no_frame(tmp_path, monkeypatch, seek):
    path = tmp_path / "clip.mkv"
    write_video(path, EVEN)
    opened = av.open
    monkeypatch.setattr(av, "open", lambda *arguments: Seeking(opened(*arguments), seek))
    assert numbers(read_frames(path, start=1.25)) == list(range(12, 24))
    assert numbers(clip_frames(path, 4, None, 1, 0.5, False)) == [10, 11, 12, 13]


def test_a_stream_without_times_or_index(tmp_path):
    path = tmp_path / "bare.mkv"
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for t in range(24):
            for packet in stream.encode(av.VideoFrame.from_ndarray(grey(t), "rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    assert numbers(read_frames(path)) == list(range(24))
    # Frames of a bare stream count as 25 a second.
    assert numbers(read_frames(path, start=0.5))[:3] == [12, 13, 14]


def test_files_that_are_turned_are_shown_upright(tmp_path):
    if which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    write_video(tmp_path / "stored.mp4", EVEN[:4])
    stored, turned = tmp_path / "stored.mp4", tmp_path / "turned.mp4"
    quiet = ["ffmpeg", "-y", "-loglevel", "quiet"]
    # Since ffmpeg 6; before, a tag says by how much to turn clockwise.
    now = [*quiet, "-display_rotation", "90", "-i", stored, "-c", "copy", turned]
    before = [*quiet, "-i", stored, "-c", "copy", "-metadata:s:v:0", "rotate=270", turned]
    if subprocess.run(now, check=False).returncode:
        subprocess.run(before, check=True)
    subprocess.run([*quiet, "-i", turned, "-frames:v", "1", tmp_path / "first.png"], check=True)
    first = next(read_frames(turned)).picture
    assert first.size == (32, 48)
    # ffmpeg turns it, too; its own conversion from YUV differs by rounding.
    with Image.open(tmp_path / "first.png") as oracle:
        difference = np.asarray(first).astype(int) - np.asarray(oracle.convert("RGB"))
    assert np.abs(difference).max() <= 3


@pytest.fixture
def folder(tmp_path):
    for label in ("up", "wide"):
        (tmp_path / label).mkdir()
        for number in range(6):
            write_clip(tmp_path / label / f"{number}.gif", np.stack([grey(t) for t in range(10)]))
    write_video(tmp_path / "up" / "6.mp4", EVEN)
    return tmp_path


def config(folder, **fields):
    usual = {"root": str(folder), "size": 16, "frames": 4, "heldout_fraction": 0.3}
    return VideoFolderConfig(**usual | fields)


def test_a_folder_is_clips_with_classes(folder):
    dataset = config(folder)
    assert dataset.io().shape == (3, 4, 16, 16)
    assert dataset.io().num_classes == 2
    train, heldout = dataset.open("train"), dataset.open("heldout")
    assert len(train) + len(heldout) == 13
    record = heldout[0]
    assert record["image"].shape == (4, 16, 16, 3)
    # The middle of ten frames, each once.
    levels = record["image"][:, 8, 12, 0].astype(int)
    np.testing.assert_allclose(np.diff(levels), STEP, atol=3)


def test_training_clips_begin_anywhere_but_are_functions_of_their_seed(folder):
    source = config(folder).open("train")
    first = [source.draw(0, np.random.default_rng(seed))["image"] for seed in range(12)]
    again = [source.draw(0, np.random.default_rng(seed))["image"] for seed in range(12)]
    np.testing.assert_array_equal(first, again)
    assert len({int(clip[0, 8, 12, 0]) for clip in first}) > 3
    streams = []
    for threads in (0, 2):
        with batches(config(folder), batch_size=4, seed=0, threads=threads) as stream:
            streams.append([next(stream)["image"] for _ in range(3)])
    np.testing.assert_array_equal(*streams)


def test_short_and_broken_videos_by_policy(folder):
    write_clip(folder / "up" / "one-frame.gif", grey(0)[None])
    whole = (folder / "up" / "6.mp4").read_bytes()
    (folder / "up" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"one-frame.gif' is damaged \(has 1 of the 4 frames|cut.mp4"):
        [config(folder, heldout_fraction=0.01).open("train")[i] for i in range(15)]
    source = config(folder, heldout_fraction=0.01, corrupt="skip").open("train")
    for i in range(len(source)):
        source[i]
    assert set(source.skipped) == {"up/cut.mp4", "up/one-frame.gif"}
    held = config(folder, heldout_fraction=0.01, corrupt="skip", short="hold").open("train")
    for i in range(len(held)):
        held[i]
    assert set(held.skipped) == {"up/cut.mp4"}


def test_a_broken_end_takes_no_more_than_the_clips_that_reach_it(tmp_path):
    write_video(tmp_path / "whole.mkv", EVEN)
    whole = (tmp_path / "whole.mkv").read_bytes()
    write_clip(tmp_path / "other.gif", np.stack([grey(t) for t in range(10)]))
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 7 // 10])
    sound = len(numbers(read_frames_up_to_damage(tmp_path / "cut.mkv")))
    assert 6 <= sound < 20
    # Seven tenths of the file are there, and its head still says 2.4 seconds.
    assert length(tmp_path / "cut.mkv").seconds == pytest.approx(2.4, abs=0.11)
    usual = {"labels": "none", "heldout_fraction": 0.01}
    sources = [config(tmp_path, corrupt="skip", **usual).open("train") for _ in range(2)]
    place = [sources[0].record_name(i) for i in range(3)].index("cut.mkv")

    def clips(source, seeds):
        return {seed: source.draw(place, np.random.default_rng(seed)) for seed in seeds}

    # In whatever order they are asked for, clips are the same, and of this video.
    forward, backward = clips(sources[0], range(12)), clips(sources[1], reversed(range(12)))
    for seed in range(12):
        np.testing.assert_array_equal(forward[seed]["image"], backward[seed]["image"])
        assert forward[seed]["index"] == place
    first = {round((float(one["image"][0, 8, 12].mean()) - 16) / STEP) for one in forward.values()}
    assert len(first) > 2
    assert max(first) <= sound - 4
    assert "clips that reach there are cut from its beginning" in sources[0].faults()["cut.mkv"]
    strict = config(tmp_path, **usual).open("train")
    with pytest.raises(DataError, match=r"cut.mkv' is damaged"):
        clips(strict, range(12))


def read_frames_up_to_damage(path):
    found = []
    with contextlib.suppress(DataError):
        found.extend(read_frames(path))
    return found


def test_places_without_videos_are_named(tmp_path):
    (tmp_path / "text.txt").write_text("x")
    with pytest.raises(DataError, match=r"no videos \(.mp4, .webm"):
        config(tmp_path, labels="none").open("train")
    with pytest.raises(DataError, match="local folders"):
        config("s3://bucket/videos", labels="none").open("train")
