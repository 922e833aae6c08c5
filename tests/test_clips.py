"""Clips as files: every frame comes back, in order."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ulzoo.clips import GIVEN, Shown, animated_grid, at_rate, marked, read_frames, write_clip
from ulzoo.errors import DataError, RunError
from ulzoo.images import side_by_side


def some_clip(frames=6, height=10, width=14, channels=3):
    """Smooth, as H.264 likes it, and another brightness in each frame."""
    y, x, t = np.meshgrid(np.arange(height), np.arange(width), np.arange(frames), indexing="ij")
    grey = (40 + 30 * t + 3 * y + 2 * x).transpose(2, 0, 1)
    return np.repeat(grey[..., None], channels, axis=3).astype(np.uint8)


def read(path, fps=8):
    return np.stack([np.asarray(picture) for picture in at_rate(read_frames(path), fps)])


@pytest.mark.parametrize("channels", [1, 3])
def test_webp_is_exact(tmp_path, channels):
    clip = some_clip(channels=channels)
    clip[3] = clip[2]  # the file has one frame that is seen twice as long
    write_clip(tmp_path / "clip.webp", clip, enlarge=2)
    expected = clip.repeat(2, axis=1).repeat(2, axis=2)
    assert_array_equal(read(tmp_path / "clip.webp"), np.repeat(expected, 3 // channels, axis=3))


def test_gif_has_all_frames(tmp_path):
    clip = some_clip(channels=1)
    write_clip(tmp_path / "clip.gif", clip)
    # Greys fit a palette of 256.
    assert_array_equal(read(tmp_path / "clip.gif")[..., :1], clip)


def test_mp4_keeps_time_and_pixels(tmp_path):
    pytest.importorskip("av")
    clip = some_clip(height=33, width=47)
    write_clip(tmp_path / "clip.mp4", clip, fps=5)
    back = read(tmp_path / "clip.mp4", fps=5)
    assert back.shape == (6, 34, 48, 3)
    # crf 12 in 4:2:0: a smooth grey ramp is off by rounding of limited-range luma, 219 levels for 256.
    assert np.abs(back[:, :33, :47].astype(int) - clip).max() <= 4


def test_a_varying_frame_rate_is_made_even():
    frames = [Shown("a", 0.5, 0.6), Shown("b", 0.6, 0.9), Shown("c", 0.9, 1.0)]
    assert list(at_rate(frames, 10)) == ["a", "b", "b", "b", "c"]
    assert list(at_rate(frames, 5)) == ["a", "b", "c"]


def test_mp4_without_pyav_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(RunError, match=r"ulzoo\[video\]"):
        write_clip(tmp_path / "clip.mp4", some_clip())


@pytest.mark.parametrize("name", ["broken.gif", "missing.webp"])
def test_damage_is_named(tmp_path, name):
    (tmp_path / "broken.gif").write_bytes(b"GIF89a, not really")
    with pytest.raises(DataError, match=name):
        list(read_frames(tmp_path / name))


def test_a_video_that_is_none_is_named(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(DataError, match=r"text\.mp4"):
        list(read_frames(tmp_path / "text.mp4"))


def test_what_is_no_clip_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected uint8"):
        write_clip(tmp_path / "clip.webp", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="webp, gif, mp4"):
        write_clip(tmp_path / "clip.avi", some_clip())


def test_grids_move_and_marks_are_on_given_frames():
    clips = np.stack([some_clip(4), some_clip(4)[::-1]])
    sheet = animated_grid(clips, columns=2, gap=1)
    assert sheet.shape == (4, 10, 29, 3)
    assert_array_equal(sheet[1, :, :14], clips[0, 1])
    assert_array_equal(sheet[1, :, 15:], clips[1, 1])
    framed = marked(clips[0], np.array([True, False, True, False]))
    assert framed.shape == (4, 12, 16, 3)
    assert (framed[[0, 2], 0] == GIVEN).all()
    assert (framed[[1, 3], 0] == 0).all()
    assert_array_equal(framed[:, 1:-1, 1:-1], clips[0])


def test_marks_are_seen_on_the_white_between_frames():
    black = np.zeros((2, 4, 4, 1), np.uint8)
    sheet = side_by_side(marked(black, np.array([True, False])), marked(black, np.array([True, False])))
    assert (sheet[0, :6] == GIVEN).all()
    assert (sheet[0, 6:8] == 255).all()
    assert not (np.array(GIVEN) == 255).all()
