"""Folders as datasets: listing, labels, splits, policies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from small_run import SPEC

from ulzoo.data.decode import read_picture
from ulzoo.data.image_folder import ImageFolderConfig
from ulzoo.data.listing import find_pictures, is_held_out
from ulzoo.data.pipeline import batches, eval_batches
from ulzoo.data.source import Dataset
from ulzoo.errors import DataError
from ulzoo.spec import parse_spec, spec_hash


def picture(path, value=0, size=(6, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value,) * 3).save(path)


@pytest.fixture
def root(tmp_path):
    """Three classes of ten pictures each; the value of a picture is 10 · class + number."""
    for label, name in enumerate(["ant", "bee", "cat"]):
        for number in range(10):
            picture(tmp_path / "data" / name / f"deep{number % 2}" / f"{number}.png", 10 * label + number)
    return tmp_path / "data"


def config(root, **fields):
    return ImageFolderConfig(root=str(root), **({"size": 4} | fields))


def read(source):
    return [source[i] for i in range(len(source))]


# ---- shapes and labels -------------------------------------------------------------------------


def test_io_needs_no_folder_when_fields_suffice():
    data = config("/nowhere/at/all", size=(4, 6), classes=7, channels=1)
    assert isinstance(data, Dataset)
    assert (data.io().shape, data.io().num_classes) == ((1, 4, 6), 7)
    unlabelled = config("/nowhere/at/all", labels="none")
    assert (unlabelled.io().shape, unlabelled.io().num_classes) == ((3, 4, 4), None)
    with pytest.raises(DataError, match="with the field `classes` a check needs no folder"):
        config("/nowhere/at/all").io()


def test_records(root):
    assert config(root).io().num_classes == 3
    for split in ("train", "heldout"):
        source = config(root, heldout_fraction=0.5).open(split)
        for index, record in enumerate(read(source)):
            assert record["image"].shape == (4, 4, 3)
            assert (record["label"].dtype, record["index"].dtype) == (np.int32, np.int32)
            assert record["label"] == record["image"][0, 0, 0] // 10
            assert record["index"] == index
        with pytest.raises(IndexError):
            source[len(source)]


def test_no_labels(root):
    picture(root / "loose.webp", 99)
    source = config(root, labels="none").open("train")
    assert all("label" not in record for record in read(source))
    with pytest.raises(DataError, match=r"loose\.webp' lies in no class folder"):
        config(root).open("train")


def test_number_of_classes_must_match(root):
    assert config(root, classes=3).open("train")
    with pytest.raises(DataError, match="holds 3 classes, not 2: ant, bee, cat"):
        config(root, classes=2).open("train")


@pytest.mark.parametrize(
    "fields",
    [
        {"heldout_root": "a", "heldout_fraction": 0.5},
        {"classes": 2, "labels": "none"},
        {"heldout_fraction": 1.0},
        {"size": 0},
        {"size": (4, 4, 4)},
        {"channels": 2},
        {"corrupt": "warn"},
        {"crops": "center"},
    ],
)
def test_senseless_fields(fields):
    with pytest.raises(ValidationError):
        config("x", **fields)


# ---- splits ------------------------------------------------------------------------------------


def test_fraction_splits_by_name_alone(root):
    values = {
        split: {
            int(record["image"][0, 0, 0]) for record in read(config(root, heldout_fraction=0.4).open(split))
        }
        for split in ("train", "heldout")
    }
    assert values["train"] | values["heldout"] == set(range(30))
    assert not values["train"] & values["heldout"]
    for number in range(10, 15):
        picture(root / "bee" / f"{number}.png", 100 + number)
    after = {
        int(record["image"][0, 0, 0]) for record in read(config(root, heldout_fraction=0.4).open("train"))
    }
    assert {value for value in after if value < 100} == values["train"]


def test_fraction_is_kept():
    held = np.mean([is_held_out(PurePosixPath(f"class/{i}.png"), 0.2) for i in range(20_000)])
    # Five standard errors of a fair coin of that bias.
    assert abs(held - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 20_000)


def test_held_out_folder(root, tmp_path):
    picture(tmp_path / "test" / "cat" / "x.jpg", 50)
    source = config(root, heldout_root=str(tmp_path / "test")).open("heldout")
    assert [record["label"] for record in read(source)] == [2]
    assert len(config(root, heldout_root=str(tmp_path / "test")).open("train")) == 30
    picture(tmp_path / "test" / "dog" / "x.jpg", 50)
    with pytest.raises(DataError, match="class 'dog'"):
        config(root, heldout_root=str(tmp_path / "test")).open("heldout")


def test_missing_and_empty(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        config(tmp_path / "missing").open("train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        config(tmp_path / "empty", labels="none").open("train")


# ---- listing -----------------------------------------------------------------------------------


def test_listing_is_sorted_and_leaves_out_what_is_no_picture(tmp_path):
    for name in ["b/x.PNG", "a.d/z.jpeg", "a/y.JPG", "a/.hidden.png", "a/._y.jpg", ".git/x.png", "c/k.webp"]:
        picture(tmp_path / name) if not name.endswith("webp") else picture(tmp_path / name, 1)
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    names = [str(path) for path in find_pictures(tmp_path)]
    assert names == ["a.d/z.jpeg", "a/y.JPG", "b/x.PNG", "c/k.webp"]


def test_links(tmp_path):
    picture(tmp_path / "outside.png")
    picture(tmp_path / "data" / "a" / "x.png")
    (tmp_path / "data" / "a" / "inside.png").symlink_to("x.png")
    assert len(find_pictures(tmp_path / "data")) == 2
    for name, target in [
        ("out.png", tmp_path / "outside.png"),
        ("broken.png", "gone"),
        ("loop.png", "loop.png"),
    ]:
        link = tmp_path / "data" / "a" / name
        link.symlink_to(target)
        with pytest.raises(DataError, match=f"{name}' is a symbolic link that leads out"):
            find_pictures(tmp_path / "data")
        link.unlink()
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    with pytest.raises(DataError, match="link to a folder"):
        find_pictures(tmp_path / "data")


def test_relative_and_home_folders(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    source = config("data").open("train")
    monkeypatch.chdir("/")
    assert source[0]["image"].shape == (4, 4, 3)
    monkeypatch.setenv("HOME", str(root.parent))
    assert len(config("~/data").open("train")) == len(source)


# ---- damage ------------------------------------------------------------------------------------


def damage(root, *names):
    for name in names:
        (root / name).write_bytes((root / name).read_bytes()[:40])


def test_damaged_file_is_an_error_that_names_it(root):
    damage(root, "ant/deep0/0.png")
    source = config(root, heldout_root=str(root)).open("heldout")
    with pytest.raises(DataError, match=r"ant/deep0/0\.png' is damaged"):
        source[0]


def test_damaged_files_are_replaced_counted_and_named(root):
    damage(root, "ant/deep0/0.png", "ant/deep0/2.png", "cat/deep1/9.png")
    source = config(root, heldout_root=str(root), corrupt="skip").open("heldout")
    assert source.skipped == ()
    # In the order of the listing: deep0 holds 0 2 4 6 8, deep1 holds 1 3 5 7 9.
    assert (source[29]["index"], source[29]["image"][0, 0, 0]) == (2, 4)
    assert (source[0]["index"], source[1]["index"], source[2]["index"]) == (2, 2, 2)
    assert source.skipped == ("ant/deep0/0.png", "ant/deep0/2.png", "cat/deep1/9.png")
    masks = np.concatenate([batch["mask"] for batch in eval_batches(source, 10)])
    np.testing.assert_array_equal(np.flatnonzero(~masks), [0, 1, 29])


def test_streams_with_damage_do_not_depend_on_threads(root):
    damage(root, "ant/deep0/0.png", "bee/deep0/4.png", "cat/deep1/9.png")
    data = config(root, corrupt="skip", crop="random", flip=True, size=(4, 3))
    streams = []
    for threads in (0, 3):
        with batches(data, batch_size=4, seed=1, threads=threads) as stream:
            streams.append([next(stream) for _ in range(16)])
            assert set(stream.skipped) <= {"ant/deep0/0.png", "bee/deep0/4.png", "cat/deep1/9.png"}
    for one, other in zip(*streams, strict=True):
        assert one.keys() == other.keys() == {"image", "label", "index"}
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_nothing_but_damage(tmp_path):
    for name in "abc":
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{name}.png").write_bytes(b"junk")
    source = config(
        tmp_path / "data", labels="none", corrupt="skip", heldout_root=str(tmp_path / "data")
    ).open("train")
    with pytest.raises(DataError, match="every one of the 3 pictures"):
        source[1]


def test_vanished_file_is_an_error_even_when_damage_is_skipped(root):
    source = config(root, corrupt="skip", heldout_root=str(root)).open("train")
    os.remove(root / "ant/deep0/0.png")
    with pytest.raises(DataError, match="cannot read"):
        source[0]


def test_a_spec_from_before_later_fields_came_keeps_its_hash():
    """Computed when the dataset had no crop_size, max_pixels and timeout."""
    text = "{type: ulzoo.image_folder.v1, root: photos, size: 8, channels: 1, classes: 10%s}"
    digits = "{type: ulzoo.digits.v1, size: 8}"
    hashes = [
        spec_hash(parse_spec(SPEC.replace(digits, text % more)))
        for more in ("", ", max_pixels: 89478485", ", timeout: 3", ", crop_size: 8", ", max_pixels: 10")
    ]
    before = "e010ef31efdec45ef7604dfb5fe88f548b4f99396d1f419f4adb83a88d2d5c3d"
    assert hashes[:3] == [before] * 3
    assert len(set(hashes)) == 3


# ---- training draws ----------------------------------------------------------------------------


def wide(tmp_path):
    pixels = np.zeros((8, 64, 3), np.uint8)
    pixels[..., :] = np.arange(0, 256, 4)[None, :, None]
    (tmp_path / "data").mkdir()
    Image.fromarray(pixels).save(tmp_path / "data" / "ramp.png")
    return tmp_path / "data"


def test_random_crop_moves_and_centre_crop_does_not(tmp_path):
    root = wide(tmp_path)
    rng = np.random.default_rng(0)
    fields = {"labels": "none", "size": 8, "heldout_root": str(root)}
    source = config(root, crop="random", **fields).open("train")
    starts = {int(source.draw(0, rng)["image"][0, 0, 0]) for _ in range(50)}
    assert min(starts) < 60
    assert max(starts) > 160
    np.testing.assert_array_equal(source[0]["image"][0, :, 0], np.arange(28, 36) * 4)
    fixed = config(root, **fields).open("train")
    np.testing.assert_array_equal(fixed.draw(0, rng)["image"], fixed[0]["image"])


def test_flip_mirrors_half(tmp_path):
    root = wide(tmp_path)
    rng = np.random.default_rng(0)
    source = config(root, labels="none", size=8, flip=True, heldout_root=str(root)).open("train")
    straight = source[0]["image"]
    flipped = [not np.array_equal(source.draw(0, rng)["image"], straight) for _ in range(40)]
    assert 8 < sum(flipped) < 32  # a fair coin leaves this range once in 10⁵ tries
    mirrored = next(
        image for image in (source.draw(0, rng)["image"] for _ in range(40)) if image[0, 0, 0] > 126
    )
    np.testing.assert_array_equal(mirrored, straight[:, ::-1])


# ---- imports -----------------------------------------------------------------------------------


def test_configs_load_neither_numpy_nor_jax():
    code = (
        "import sys, ulzoo.data.image_folder, ulzoo.data.digits, ulzoo.data.source; "
        "assert not {'jax', 'numpy', 'grain', 'PIL'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("resize", ["box", "lanczos"])
def test_a_file_alone_is_read_as_the_dataset_reads_it(root, resize):
    noise = np.random.default_rng(0).integers(0, 256, (13, 9, 3), dtype=np.uint8)
    path = root / "ant" / "new.png"
    Image.fromarray(noise).save(path)
    for split in ("train", "heldout"):
        source = config(root, resize=resize).open(split)
        of_dataset = [record["image"] for record in read(source)]
        alone = read_picture(path, (4, 4), channels=3, resize=resize)
        if any((image == alone).all() for image in of_dataset):
            return
    pytest.fail("neither split holds the picture as it was read alone")


def test_a_file_alone_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "text.jpg").write_bytes(b"hello")
    for name in ("text.jpg", "missing.png", "."):
        with pytest.raises(DataError, match=re.escape(str(tmp_path / name))):
            read_picture(tmp_path / name, (4, 4), channels=3)
