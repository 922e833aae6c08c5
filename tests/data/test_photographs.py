"""Crops of scikit-image's photographs: which pictures, splits apart, crops that are where they say."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from ulzoo.data.photographs import SMALLEST, PhotographsConfig
from ulzoo.data.photographs import source as photographs
from ulzoo.errors import DataError

data = pytest.importorskip("skimage.data")


def picture(name):
    """As scikit-image itself gives it, in grey as Pillow has it."""
    return np.asarray(Image.fromarray(getattr(data, name)()).convert("L"))


def test_its_own_reader_finds_the_same_pixels():
    for one in photographs.PHOTOGRAPHS:
        mine = photographs.read(one, 3 if one.colour else 1)
        theirs = getattr(data, one.file.partition(".")[0])()
        np.testing.assert_array_equal(mine if one.colour else mine[..., 0], theirs)
        # The claim of what fits.
        assert min(mine.shape[:2]) >= SMALLEST


@pytest.mark.parametrize(("channels", "counts"), [(1, (6, 2)), (3, (3, 1))])
def test_splits_have_photographs_of_their_own(channels, counts):
    config = PhotographsConfig(channels=channels)
    sources = [config.open(split) for split in ("train", "heldout")]
    names = [{source.record_name(i).partition(",")[0] for i in range(len(source))} for source in sources]
    assert not names[0] & names[1]
    assert (len(names[0]), len(names[1])) == counts
    assert sources[0].fingerprint() != sources[1].fingerprint()


def test_a_record_is_the_tile_that_its_name_says():
    source = PhotographsConfig(channels=1, size=64).open("heldout")
    # Tiles that do not overlap: 4 × 7 of 300 × 451 pixels, 8 × 8 of 512 × 512.
    assert len(source) == 28 + 64
    assert source.record_name(9) == "chelsea.png, row 64, column 128"
    expected = picture("chelsea")[64:128, 128:192]
    np.testing.assert_array_equal(source[9]["image"][..., 0], expected)
    assert source[9]["index"] == 9


def test_training_crops_one_photograph_anywhere_and_mirrors_half():
    source = PhotographsConfig(channels=1, size=64).open("train")
    index = next(i for i in range(len(source)) if source.record_name(i).startswith("camera"))
    windows = np.lib.stride_tricks.sliding_window_view(picture("camera"), (64, 64))
    found = {hashlib.sha256(np.ascontiguousarray(window)).digest() for window in windows.reshape(-1, 64, 64)}
    crops = [source.draw(index, np.random.default_rng(i))["image"][..., 0] for i in range(200)]
    straight = [hashlib.sha256(np.ascontiguousarray(crop)).digest() in found for crop in crops]
    mirrored = [hashlib.sha256(np.ascontiguousarray(crop[:, ::-1])).digest() in found for crop in crops]
    assert all(a or b for a, b in zip(straight, mirrored, strict=True))
    # Binomial, half of 200: ± 4 standard deviations.
    assert 72 <= sum(straight) <= 128
    again = source.draw(index, np.random.default_rng(3))["image"][..., 0]
    np.testing.assert_array_equal(again, crops[3])
    never = PhotographsConfig(channels=1, size=64, flip=False).open("train")
    assert hashlib.sha256(never.draw(index, np.random.default_rng(0))["image"]).digest() in found


def test_reduced_is_the_mean_of_squares():
    full, half = (PhotographsConfig(size=32, reduce=factor).open("heldout") for factor in (1, 2))
    large = np.concatenate(
        [np.concatenate([full[row * 14 + column]["image"] for column in range(2)], 1) for row in range(2)]
    ).astype(np.float64)
    mean = (large[::2, ::2] + large[1::2, ::2] + large[::2, 1::2] + large[1::2, 1::2]) / 4
    # Rounded to the nearest level.
    assert np.abs(half[0]["image"] - mean).max() <= 0.5


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValidationError, match="at most 300, got 128 × 3"):
        PhotographsConfig(size=128, reduce=3)


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(photographs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'ulzoo\[photographs\]'"):
        PhotographsConfig().open("train")


def test_other_pictures_of_the_same_names_are_refused(monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    Image.new("RGB", (512, 512)).save(tmp_path / "data" / "astronaut.png")
    found = photographs.importlib.util.find_spec("skimage")
    monkeypatch.setattr(found, "submodule_search_locations", [str(tmp_path)])
    monkeypatch.setattr(photographs.importlib.util, "find_spec", lambda name: found)
    with pytest.raises(DataError, match=r"astronaut\.png: not the picture"):
        PhotographsConfig().open("train")
