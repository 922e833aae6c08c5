"""Pictures in archives, shards and tables: the same records wherever they lie."""

from __future__ import annotations

import io
import pickle
import stat
import sys
import tarfile
import zipfile

import numpy as np
import pytest
import stored_pictures
from PIL import Image
from stored_pictures import (
    CLASSES,
    EXPECTED,
    PER_CLASS,
    add,
    as_folder,
    as_parquet,
    as_plain_array_record,
    as_tar,
    as_zip,
    encoded,
    noise,
    records,
    values,
)

from ulzoo.data.array_record import ArrayRecordConfig
from ulzoo.data.collection import Collection, Names, Picture
from ulzoo.data.collections.array_record import Shards, pack, unpack
from ulzoo.data.decode import CorruptImage
from ulzoo.data.image_folder import ImageFolderConfig
from ulzoo.data.parquet import ParquetConfig
from ulzoo.data.pictures import PictureDataset
from ulzoo.data.pipeline import Batches, eval_batches
from ulzoo.data.storage import blob, local_copy
from ulzoo.data.webdataset import WebDatasetConfig
from ulzoo.data.zip_archive import ZipConfig
from ulzoo.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def opened(config, root, **fields):
    fields = {"size": 4, "heldout_root": str(root)} | fields
    return config(root=str(root), **fields).open("train")


FORMATS = {
    "folder": (ImageFolderConfig, as_folder),
    "zip": (ZipConfig, as_zip),
    "stored zip": (ZipConfig, lambda path: as_zip(path, zipfile.ZIP_STORED)),
    "tar": (WebDatasetConfig, as_tar),
    "parquet": (ParquetConfig, as_parquet),
    "parquet of bytes": (ParquetConfig, lambda path: as_parquet(path, struct=False)),
}


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gives_the_same_records(format, tmp_path):
    config, make = FORMATS[format]
    root = make(tmp_path)
    source = opened(config, root)
    assert values(source) == EXPECTED
    assert source[0]["image"].shape == (4, 4, 3)
    assert config(root=str(root), size=4).io().num_classes == 2
    # Captions and labels as they are stored; the file itself, byte for byte.
    stored = {source.picture(i).image for i in range(len(source))}
    assert stored == {data for _, _, data, _ in records()}
    # Other processes open it anew.
    assert values(pickle.loads(pickle.dumps(source))) == EXPECTED
    both = [
        config(root=str(root), size=4, heldout_fraction=0.4).open(split) for split in ("train", "heldout")
    ]
    assert values(both[0]) | values(both[1]) == EXPECTED
    assert not values(both[0]) & values(both[1])
    assert opened(config, root).fingerprint() == source.fingerprint()
    without = opened(config, root, labels="none")
    assert {label for _, label in values(without)} == {-1}


@pytest.mark.parametrize("format", ["tar", "parquet"])
def test_captions(format, tmp_path):
    config, make = FORMATS[format]
    fields = {"caption_column": "text"} if format == "parquet" else {}
    source = opened(config, make(tmp_path), **fields)
    found = {(source.picture(i).image, source.caption(i)) for i in range(len(source))}
    assert found == {(data, caption) for _, _, data, caption in records()}


@pytest.mark.parametrize("format", ["tar", "parquet"])
@pytest.mark.parametrize("workers", [0, 1])
def test_captions_come_in_batches_where_they_are_asked_for(format, workers, tmp_path):
    config, make = FORMATS[format]
    fields = {"caption_column": "text"} if format == "parquet" else {}
    source = opened(config, make(tmp_path), captions=True, **fields)
    with Batches(source, batch_size=12, seed=0, workers=workers) as stream:
        batch = next(stream)
    assert batch["caption"].shape == (12,)
    expected = {100 * label + number: text for label, number, _, text in records()}
    found = dict(zip(batch["image"][:, 0, 0, 0].tolist(), batch["caption"].tolist(), strict=True))
    assert found == expected
    (whole,) = eval_batches(source, 12)
    assert sorted(whole["caption"]) == sorted(expected.values())
    assert "caption" not in opened(config, make(tmp_path), **fields)[0]


def test_captions_of_what_has_none_are_an_error(tmp_path):
    with pytest.raises(DataError, match="no captions are stored with the pictures"):
        opened(ImageFolderConfig, as_folder(tmp_path), captions=True)


@pytest.mark.parametrize("format", FORMATS)
def test_a_fingerprint_follows_contents_and_not_places(format, tmp_path, monkeypatch):
    config, make = FORMATS[format]
    roots = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        if name == "three":
            # One picture is another one: of as many pixels, so only its bytes tell.
            pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            changed = [
                (*one[:2], buffer.getvalue(), one[3]) if i == 4 else one for i, one in enumerate(records())
            ]
            monkeypatch.setattr(stored_pictures, "records", lambda changed=changed: changed)
        roots.append(make(tmp_path / name))
    one, two, three = (opened(config, root).fingerprint() for root in roots)
    assert one == two != three


def test_plain_array_records_are_pictures_without_labels(tmp_path):
    root = as_plain_array_record(tmp_path)
    source = opened(ArrayRecordConfig, root, labels="none")
    assert {value for value, _ in values(source)} == {value for value, _ in EXPECTED}
    assert source.record_name(3) == "a.array_record:3"
    with pytest.raises(DataError, match=r"'a\.array_record:0' has no label; to do without, set labels: none"):
        opened(ArrayRecordConfig, root)
    assert values(pickle.loads(pickle.dumps(source))) == values(source)


def test_damaged_array_record_is_a_damaged_record(tmp_path):
    root = as_plain_array_record(tmp_path)
    path = root / "a.array_record"
    data = bytearray(path.read_bytes())
    place = data.index(encoded(3)) + 20
    data[place] ^= 0xFF
    path.write_bytes(data)
    source = opened(ArrayRecordConfig, root, labels="none", corrupt="skip")
    assert values(source) == {(value, -1) for value, _ in EXPECTED if value != 3}
    assert source.skipped == ("a.array_record:3",)
    with pytest.raises(DataError, match=r"a\.array_record:3' is damaged"):
        opened(ArrayRecordConfig, root, labels="none")[3]


def test_records_keep_facts():
    record = pack(b"\x00payload", name="ä/1.png", label=3, caption=None)
    assert unpack(record) == ({"name": "ä/1.png", "label": 3}, b"\x00payload")
    assert unpack(b"\xff\xd8 plain") == ({}, b"\xff\xd8 plain")
    for cut in (5, 9, 20):
        with pytest.raises(ValueError, match=r"cut|Expecting|Unterminated"):
            unpack(record[:cut])


# ---- elsewhere ---------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_other_file_systems(format, scheme, tmp_path):
    config, make = FORMATS[format]
    root = make(tmp_path)
    if scheme == "memory":
        fsspec = pytest.importorskip("fsspec")
        system = fsspec.filesystem("memory")
        system.store.clear()
        for path in [root] if root.is_file() else [p for p in root.rglob("*") if p.is_file()]:
            name = f"/data/{path.relative_to(root.parent).as_posix()}"
            system.pipe_file(name, path.read_bytes())
        address = f"memory://data/{root.name}"
    else:
        address = f"file://{root}"
    assert values(opened(config, address)) == EXPECTED


def test_remote_array_records_are_copied_once(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    path = as_plain_array_record(tmp_path) / "a.array_record"
    system = fsspec.filesystem("memory")
    system.pipe_file("/records/a.array_record", path.read_bytes())
    file = blob("memory://records/a.array_record")
    first = local_copy(file)
    assert first.read_bytes() == path.read_bytes()
    changed = first.stat().st_mtime_ns
    assert local_copy(file).stat().st_mtime_ns == changed
    assert len(Shards([file])) == 2 * PER_CLASS


@pytest.mark.parametrize(
    ("address", "extra"), [("gs://bucket/x", "gcs"), ("s3://bucket/x", "s3"), ("memory://x", "remote")]
)
def test_a_missing_package_is_named_by_its_extra(address, extra, monkeypatch):
    for name in ("gcsfs", "s3fs") if extra != "remote" else ("fsspec",):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=rf"pip install 'ulzoo\[{extra}\]'"):
        opened(ImageFolderConfig, address)


def test_parquet_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"pip install 'ulzoo\[parquet\]'"):
        opened(ParquetConfig, tmp_path)


@pytest.mark.parametrize("config", [ZipConfig, WebDatasetConfig, ArrayRecordConfig, ParquetConfig])
def test_nothing_there(config, tmp_path):
    for root in (tmp_path / "gone", tmp_path / "gone*"):
        with pytest.raises(DataError, match=r"gone\*?'"):
            opened(config, root)


# ---- what is refused ---------------------------------------------------------------------------


def zip_of(path, *entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("name", ["../out.png", "/etc/x.png", "a/../../x.png", "a\\..\\x.png", "C:/x.png"])
def test_paths_that_leave_a_zip(name, tmp_path):
    info = zipfile.ZipInfo(name)
    info.filename = name  # ZipInfo itself would mend some of them
    root = zip_of(tmp_path / "x.zip", (info, encoded(1)))
    with pytest.raises(DataError, match="leads out of the archive"):
        opened(ZipConfig, root, labels="none")


def test_links_and_doubles_in_a_zip(tmp_path):
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    root = zip_of(tmp_path / "x.zip", (link, b"/etc/passwd"))
    with pytest.raises(DataError, match="symbolic link"):
        opened(ZipConfig, root)
    with pytest.warns(UserWarning, match="Duplicate"):
        root = zip_of(tmp_path / "y.zip", ("a/1.png", encoded(1)), ("a/1.png", encoded(2)))
    with pytest.raises(DataError, match=r"two records of the name 'a/1\.png'"):
        opened(ZipConfig, root)


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    """The directory says ten bytes, the entry would become ten million."""
    path = zip_of(tmp_path / "x.zip", ("a/1.png", b"\0" * 10_000_000), ("a/2.png", encoded(2)))
    data = path.read_bytes()
    path.write_bytes(data.replace((10_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    source = opened(ZipConfig, path, corrupt="skip")
    assert values(source) == {(2, 0)}
    assert "not what the archive's directory says" in source.faults()["a/1.png"]


def test_a_damaged_zip(tmp_path):
    path = as_zip(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="no sound zip archive"):
        opened(ZipConfig, path)


@pytest.mark.parametrize("name", ["../out.png", "/etc/x.png", "a/../../x.png"])
def test_paths_that_leave_a_tar(name, tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        add(archive, name, encoded(1))
    with pytest.raises(DataError, match="leads out of the archive"):
        opened(WebDatasetConfig, tmp_path / "x.tar", labels="none")


def test_links_in_a_tar(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        member = tarfile.TarInfo("a.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(DataError, match=r"'a\.png' is a link"):
        opened(WebDatasetConfig, tmp_path / "x.tar", labels="none")


def test_a_cut_tar_a_packed_one_and_no_class(tmp_path):
    shard = as_tar(tmp_path) / "000.tar"
    data = shard.read_bytes()
    shard.write_bytes(data[: data.index(encoded(104)) + 20])
    with pytest.raises(DataError, match=r"is cut: '1_4\.png' goes on beyond its end|no sound tar file"):
        opened(WebDatasetConfig, shard)
    with tarfile.open(tmp_path / "x.tar", "w:gz") as archive:
        add(archive, "a.png", encoded(1))
    with pytest.raises(DataError, match="compressed shards cannot be read at random"):
        opened(WebDatasetConfig, tmp_path / "x.tar")
    with tarfile.open(tmp_path / "y.tar", "w") as archive:
        add(archive, "a.png", encoded(1))
    with pytest.raises(DataError, match=r"'y\.tar/a' has no class"):
        opened(WebDatasetConfig, tmp_path / "y.tar")
    with tarfile.open(tmp_path / "z.tar", "w") as archive:
        add(archive, "a.cls", b"cat")
        add(archive, "a.png", encoded(1))
    with pytest.raises(DataError, match=r"'a\.cls' holds no class, a whole number from 0, but b'cat'"):
        opened(WebDatasetConfig, tmp_path / "z.tar")


def test_parquet_of_other_columns(tmp_path):
    root = as_parquet(tmp_path)
    for fields, message in [
        ({"image_column": "img"}, "no column 'img' \\(image_column\\), but image, label, text"),
        ({"label_column": "class"}, "no column 'class' .*set labels: none"),
        ({"image_column": "text"}, "column 'text' holds string, no pictures"),
        ({"label_column": "text"}, "does not hold a class"),
    ]:
        with pytest.raises(DataError, match=message):
            opened(ParquetConfig, root, **fields)


def test_over_large_pictures_are_refused_before_they_are_decoded(tmp_path):
    folder = as_folder(tmp_path)
    (folder / "ant" / "large.png").write_bytes(encoded(7, (40, 40)))
    source = opened(ImageFolderConfig, folder, max_pixels=1599, corrupt="skip")
    assert values(source) == EXPECTED
    assert source.faults() == {"ant/large.png": "40×40 pixels are more than 1599"}
    with pytest.raises(DataError, match=r"large\.png' is damaged \(40×40 pixels are more than 1599\)"):
        values(opened(ImageFolderConfig, folder, max_pixels=1599))
    assert len(values(opened(ImageFolderConfig, folder, max_pixels=1600))) == 2 * PER_CLASS + 1


# ---- crops of stated pixels --------------------------------------------------------------------


def test_a_crop_of_the_targets_size_copies_pixels(tmp_path):
    from PIL import Image

    pixels = noise((20, 30))
    (tmp_path / "data").mkdir()
    Image.fromarray(pixels).save(tmp_path / "data" / "a.png")
    source = opened(
        ImageFolderConfig, tmp_path / "data", size=8, crop_size=8, crop="random", flip=True, labels="none"
    )
    np.testing.assert_array_equal(source[0]["image"], pixels[6:14, 11:19])
    windows = {
        pixels[y : y + 8, x : x + 8, :][:, ::step].tobytes()
        for y in range(13)
        for x in range(23)
        for step in (1, -1)
    }
    drawn = [source.draw(0, np.random.default_rng(seed))["image"] for seed in range(40)]
    assert all(image.tobytes() in windows for image in drawn)
    assert len({image.tobytes() for image in drawn}) > 30
    # As far as the picture reaches; and resized where the two differ.
    assert opened(ImageFolderConfig, tmp_path / "data", size=8, crop_size=50, labels="none")[0]["image"].shape
    half = opened(ImageFolderConfig, tmp_path / "data", size=4, crop_size=8, resize="box", labels="none")
    mean = pixels[6:14, 11:19].reshape(4, 2, 4, 2, 3).mean((1, 3))
    assert np.abs(half[0]["image"] - mean).max() <= 1  # rounding of Pillow's two passes


# ---- indexes that are kept ---------------------------------------------------------------------


@pytest.mark.parametrize("format", ["zip", "tar"])
def test_an_index_is_kept_until_the_file_changes(format, tmp_path, cache):
    config, make = FORMATS[format]
    root = make(tmp_path)
    opened(config, root)
    kept = sorted((cache / "ulzoo/data/index").iterdir())
    assert kept
    for path in kept:  # damaged ones are made again
        path.write_bytes(b"junk")
    assert values(opened(config, root)) == EXPECTED
    if format == "zip":
        zip_of(root, ("ant/9.png", encoded(9)))
        assert values(opened(config, root)) == {(9, 0)}


def test_a_long_listing_is_kept_until_a_folder_changes(tmp_path, monkeypatch):
    import os
    import time

    from ulzoo.data import listing

    folder = as_folder(tmp_path)
    old = time.time() - 60
    for path in (folder, *folder.iterdir()):
        os.utime(path, (old, old))
    monkeypatch.setattr(listing, "KEPT_FROM", 5)
    calls = []
    find = listing.find_pictures
    monkeypatch.setattr(listing, "find_pictures", lambda *given: calls.append(1) or find(*given))
    first = list(listing.list_pictures(folder))
    assert list(listing.list_pictures(folder)) == first
    assert len(calls) == 1
    (folder / "bee" / "new.png").write_bytes(encoded(5))
    assert list(listing.list_pictures(folder)) == sorted([*first, "bee/new.png"])
    assert len(calls) == 2
    # Changed this very moment: what is listed now may not be kept.
    listing.list_pictures(folder)
    assert len(calls) == 3


def test_names_take_little_room_and_keep_bytes_that_are_no_unicode():
    texts = ["a", "", "ünï", "b\udcff.png"]
    names = Names.of(texts)
    assert list(names) == [names[i] for i in range(4)] == texts
    assert list(Names.from_arrays(*names.arrays().values())) == texts
    with pytest.raises(IndexError):
        names[4]
    assert names.digest() != Names.of(["a", "ünï", "", "b\udcff.png"]).digest()
    assert names.digest(np.zeros(4, np.int32)) != names.digest(np.ones(4, np.int32))
    big = Names.of(f"{i:08d}.png" for i in range(10_000))
    assert len(big.data) + big.ends.nbytes == 10_000 * 20


# ---- a source of one's own ---------------------------------------------------------------------


def test_a_source_of_ones_own_is_twenty_lines(tmp_path):
    from typing import Literal

    class Ramp(Collection):
        where, class_names = "ramp", ("dark", "light")

        def __len__(self):
            return 40

        def __getitem__(self, index):
            if index == 7:
                raise CorruptImage("as it happens")
            pixels = np.full((6, 8, 3), 6 * index, np.uint8)
            return Picture(f"{index}", pixels, label=index // 20, caption=f"number {index}")

        def name(self, index):
            return f"{index}"

    class RampConfig(PictureDataset):
        """A ramp."""

        type: Literal["acme.ramp.v1"] = "acme.ramp.v1"

        def collect(self, root):
            return Ramp()

    from ulzoo.testing import check_component

    source = RampConfig(root="x", size=4, corrupt="skip", heldout_fraction=0.3).open("train")
    assert source.faults() in ({}, {"7": "as it happens"})
    value = int(source[3]["image"][0, 0, 0]) // 6
    assert (source.record_name(3), source.caption(3)) == (f"{value}", f"number {value}")
    assert source[3]["label"] == value // 20
    example = {"root": "x", "size": 4, "corrupt": "skip", "heldout_fraction": 0.3}
    check_component(RampConfig, example, kind="dataset")


def test_class_names_tell_the_number_of_classes(tmp_path):
    source = ParquetConfig(root=str(as_parquet(tmp_path)), size=4)
    assert source.collect(source.root).class_names == CLASSES
    with pytest.raises(DataError, match="holds 2 classes, not 3: ant, bee"):
        opened(ParquetConfig, source.root, classes=3)
    with pytest.raises(DataError, match="holds 2 classes, not 1"):
        opened(WebDatasetConfig, as_tar(tmp_path), classes=1)
    assert opened(WebDatasetConfig, as_tar(tmp_path), classes=5)


def test_pixels_that_are_no_picture():
    from ulzoo.data.decode import decode

    for pixels in (np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4), np.float32), np.zeros((4,), np.uint8)):
        with pytest.raises(CorruptImage, match="pixels are"):
            decode(pixels, (2, 2), channels=3)
    grey = decode(np.full((4, 4, 1), 9, np.uint8), (2, 2), channels=3)
    assert (grey == 9).all()
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3), allow_pickle=False)
    with pytest.raises(CorruptImage):
        decode(buffer.getvalue(), (2, 2), channels=3)
