"""Built-ins that need more than this package: pictures, or an optional one."""

import numpy as np
import pytest
from PIL import Image
from stored_pictures import as_parquet, as_plain_array_record, as_tar, as_zip

from ulzoo.clips import write_clip
from ulzoo.data.prepare import prepare
from ulzoo.data.videos import VideoFolderConfig
from ulzoo.testing import check_component


def test_image_folder(tmp_path, builtin_registry):
    rng = np.random.default_rng(0)
    for label in ("cats", "dogs"):
        (tmp_path / label).mkdir()
        for number in range(12):
            picture = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
            picture.save(tmp_path / label / f"{number}.png")
    example = {"root": str(tmp_path), "size": 8, "crop": "random", "flip": True, "heldout_fraction": 0.3}
    check_component("ulzoo.image_folder.v1", example, registry=builtin_registry)


@pytest.mark.parametrize("format", ["zip", "webdataset", "array_record", "parquet"])
def test_archives_shards_and_tables(format, tmp_path, builtin_registry, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make = {"zip": as_zip, "webdataset": as_tar, "array_record": as_plain_array_record, "parquet": as_parquet}
    root = make[format](tmp_path)
    example = {"root": str(root), "size": 8, "crop": "random", "crop_size": 6, "heldout_fraction": 0.3}
    if format == "array_record":
        example["labels"] = "none"
    check_component(f"ulzoo.{format}.v1", example, registry=builtin_registry)


@pytest.mark.parametrize("format", ["video_folder", "video_record"])
def test_videos(format, tmp_path, builtin_registry):
    rng = np.random.default_rng(0)
    for label in ("cats", "dogs"):
        (tmp_path / "files" / label).mkdir(parents=True)
        for number in range(6):
            clip = rng.integers(0, 256, (5, 9, 12, 3), dtype=np.uint8)
            write_clip(tmp_path / "files" / label / f"{number}.webp", clip)
    root = tmp_path / "files"
    if format == "video_record":
        collection = VideoFolderConfig(root=str(root), size=8, frames=3).collect(str(root))
        prepare(collection, root := tmp_path / "shards", shards=2)
    example = {"root": str(root), "size": 8, "frames": 3, "crop": "random", "heldout_fraction": 0.3}
    check_component(f"ulzoo.{format}.v1", example, registry=builtin_registry)


def test_photographs(builtin_registry):
    pytest.importorskip("skimage")
    check_component("ulzoo.photographs.v1", registry=builtin_registry)


def test_every_dataset_has_a_test_here(builtin_registry):
    built_in = {"ulzoo.digits.v1", "ulzoo.moving_digits.v1", "ulzoo.with_images.v1"}
    names = {entry.name for entry in builtin_registry.entries("dataset")} - built_in
    formats = ("image_folder", "zip", "webdataset", "array_record", "parquet", "video_folder", "video_record")
    assert names == {f"ulzoo.{format}.v1" for format in (*formats, "photographs")}


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_trackers(name, package, builtin_registry):
    pytest.importorskip(package)
    check_component(f"ulzoo.{name}.v1", registry=builtin_registry)


def test_every_tracker_has_a_test_here(builtin_registry):
    names = {entry.name for entry in builtin_registry.entries("tracker")}
    assert names == {"ulzoo.tensorboard.v1", "ulzoo.wandb.v1"}
