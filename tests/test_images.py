import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ulzoo.errors import DataError
from ulzoo.images import grid, read_image, side_by_side, strip, write_png


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_round_trip(tmp_path, channels):
    image = noise(5, 7, channels)
    write_png(tmp_path / "a.png", image)
    assert (read_image(tmp_path / "a.png", channels=channels) == image).all()
    assert Image.open(tmp_path / "a.png").size == (7, 5)


def test_enlarged_pixels_are_squares(tmp_path):
    image = noise(2, 3, 3)
    write_png(tmp_path / "a.png", image, enlarge=4)
    large = read_image(tmp_path / "a.png", channels=3)
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
    assert read_image(tmp_path / "clip.png", channels=3).shape == (3, 4 * 2 + 3 * 2, 3)
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


# ---- reading ---------------------------------------------------------------------------------------


def test_the_centre_is_cut_out_without_resampling(tmp_path):
    image = noise(6, 10, 3)
    write_png(tmp_path / "a.png", image)
    assert (read_image(tmp_path / "a.png", channels=3, size=(6, 6)) == image[:, 2:8]).all()
    assert (read_image(tmp_path / "a.png", channels=3, size=(6, 10)) == image).all()


def test_reduction_averages(tmp_path):
    # A checkerboard of single pixels: anything that only picks pixels gives black or white.
    board = ((np.indices((32, 32)).sum(axis=0) % 2) * 255).astype(np.uint8)[..., None]
    write_png(tmp_path / "a.png", board)
    small = read_image(tmp_path / "a.png", channels=1, size=(8, 8))
    assert small.shape == (8, 8, 1)
    # Mid grey up to what a cubic filter that is cut off at the border leaves of the pattern.
    assert (np.abs(small.astype(int) - 127) <= 4).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    """The eight orientations of the EXIF standard, by what they do to a picture whose corners differ."""
    upright = np.zeros((8, 12, 3), np.uint8)
    upright[:4, :6], upright[:4, 6:], upright[4:, :6] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undo[orientation](upright))).save(tmp_path / "a.png", exif=exif)
    assert (read_image(tmp_path / "a.png", channels=3) == upright).all()


def test_large_jpegs_agree_with_a_full_decode(tmp_path):
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    image = np.stack(
        [
            np.broadcast_to(ramp, (512, 512)),
            np.broadcast_to(ramp[:, None], (512, 512)),
            noise(512, 512) // 32,
        ],
        -1,
    )
    Image.fromarray(image).save(tmp_path / "a.jpg", quality=95)
    reduced = read_image(tmp_path / "a.jpg", channels=3, size=(32, 32))
    full = np.asarray(Image.open(tmp_path / "a.jpg").resize((32, 32), Image.Resampling.BOX))
    # Two filters on a smooth picture differ by the ramp's rise within a fraction of a pixel (of 8 levels).
    assert np.abs(reduced[1:-1, 1:-1].astype(int) - full[1:-1, 1:-1]).max() <= 4


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_formats_and_channels(tmp_path, suffix):
    grey = np.full((16, 16), 100, np.uint8)
    Image.fromarray(grey).convert("RGB").save(tmp_path / f"a.{suffix}")
    for channels in (1, 3, 4):
        image = read_image(tmp_path / f"a.{suffix}", channels=channels, size=(8, 4))
        assert image.shape == (8, 4, channels)
        assert image.dtype == np.uint8
        # Lossy formats move a flat colour by rounding.
        assert np.abs(image[..., :3].astype(int) - 100).max() <= 2
    assert (read_image(tmp_path / f"a.{suffix}", channels=4)[..., 3] == 255).all()


def test_transparency_lies_over_white(tmp_path):
    image = np.zeros((2, 2, 4), np.uint8)
    image[0, 0] = (10, 20, 30, 255)
    write_png(tmp_path / "a.png", image)
    seen = read_image(tmp_path / "a.png", channels=3)
    assert seen[0, 0].tolist() == [10, 20, 30]
    assert (seen[1] == 255).all()
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.save(tmp_path / "p.png", transparency=0)
    assert (read_image(tmp_path / "p.png", channels=1) == 255).all()


def test_sixteen_bit_grey_keeps_its_range(tmp_path):
    deep = np.array([[0, 257 * 100, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", channels=1).ravel().tolist() == [0, 100, 255]


def png_bytes(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


@given(data=st.data())
def test_damaged_files_are_data_errors(tmp_path_factory, data):
    """Cut or changed anywhere: an image, or a DataError that names the file."""
    content = bytearray(png_bytes(noise(8, 8, 3)))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    for at in data.draw(st.lists(st.integers(0, 200), max_size=4)):
        if at < len(content):
            content[at] ^= 0x55
    path = tmp_path_factory.mktemp("damaged") / "a.png"
    path.write_bytes(content)
    try:
        image = read_image(path, channels=3, size=(4, 4))
    except DataError as error:
        message = str(error)
    else:
        assert image.shape == (4, 4, 3)
        return
    assert message.startswith(f"{path}: cannot be read as an image: ")


def test_files_that_are_no_images(tmp_path):
    for name, content in {
        "empty.png": b"",
        "text.jpg": b"hello",
        "cut.png": png_bytes(noise(64, 64, 3))[:3000],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            read_image(tmp_path / name, channels=3)
    with pytest.raises(DataError, match=r"absent\.png"):
        read_image(tmp_path / "absent.png", channels=3)
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path, channels=3)
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(DataError, match="no known range"):
        read_image(tmp_path / "float.tiff", channels=3)
