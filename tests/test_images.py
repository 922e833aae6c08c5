import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ulzoo.images import grid, side_by_side, strip, write_png


def read(path, channels):
    """The file's pixels as Pillow alone reads them."""
    pixels = np.asarray(Image.open(path))
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    assert pixels.shape[2] == channels
    return pixels


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_round_trip(tmp_path, channels):
    image = noise(5, 7, channels)
    write_png(tmp_path / "a.png", image)
    assert (read(tmp_path / "a.png", channels) == image).all()
    assert Image.open(tmp_path / "a.png").size == (7, 5)


def test_enlarged_pixels_are_squares(tmp_path):
    image = noise(2, 3, 3)
    write_png(tmp_path / "a.png", image, enlarge=4)
    large = read(tmp_path / "a.png", 3)
    assert large.shape == (8, 12, 3)
    for row in range(8):
        for column in range(12):
            assert (large[row, column] == image[row // 4, column // 4]).all()


@given(count=st.integers(1, 7), columns=st.integers(1, 9), gap=st.integers(0, 3))
def test_grid_holds_every_image_in_reading_order(count, columns, gap):
    images = noise(count, 3, 2, 1, seed=count)
    sheet = grid(images, columns, gap=gap)
    across = min(columns, count)
    down = (count + across - 1) // across
    assert sheet.shape == (down * 3 + (down - 1) * gap, across * 2 + (across - 1) * gap, 1)
    painted = np.zeros(sheet.shape, bool)
    for index, image in enumerate(images):
        row, column = divmod(index, across)
        where = np.s_[row * (3 + gap) : row * (3 + gap) + 3, column * (2 + gap) : column * (2 + gap) + 2]
        assert (sheet[where] == image).all()
        painted[where] = True
    assert (sheet[~painted] == 255).all()


def test_strip_and_clips(tmp_path):
    clip = noise(4, 3, 2, 3)
    frames = strip(clip, gap=1)
    assert frames.shape == (3, 4 * 2 + 3, 3)
    assert (frames[:, 3:5] == clip[1]).all()
    write_png(tmp_path / "clip.png", clip)
    assert read(tmp_path / "clip.png", 3).shape == (3, 4 * 2 + 3 * 2, 3)
    assert grid([clip, clip], 1, gap=2).shape == (3 * 2 + 2, 4 * 2 + 3 * 2, 3)


def test_side_by_side():
    left, right = noise(3, 2, 1, seed=1), noise(3, 2, 1, seed=2)
    pair = side_by_side(left, right, gap=1)
    assert pair.shape == (3, 5, 1)
    assert (pair[:, :2] == left).all()
    assert (pair[:, 3:] == right).all()
    clips = side_by_side(noise(4, 3, 2, 1), noise(4, 3, 2, 1), gap=1)
    assert clips.shape == (7, 4 * 2 + 3 * 2, 1)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4, 3)), noise(4, 4), noise(4, 4, 2), noise(0, 4, 3), noise(2, 2, 4, 4, 3)],
    ids=["float", "2-d", "2 channels", "empty", "5-d"],
)
def test_other_arrays_are_refused(tmp_path, image):
    with pytest.raises(ValueError, match="expected uint8"):
        write_png(tmp_path / "a.png", image)


def test_grids_of_nothing_or_of_several_shapes_are_refused():
    with pytest.raises(ValueError, match="needs images"):
        grid([], 3)
    with pytest.raises(ValueError, match="one shape"):
        grid([noise(2, 2, 1), noise(3, 2, 1)], 2)
