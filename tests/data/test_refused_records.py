"""What is refused of archives, tables and pictures: paths that lead out, links, bombs, what is cut."""

from __future__ import annotations

import stat
import tarfile
import zipfile

import pytest
from stored_formats import opened
from stored_pictures import (
    EXPECTED,
    PER_CLASS,
    add,
    as_folder,
    as_parquet,
    as_tar,
    as_zip,
    encoded,
    values,
    zip_of,
)

from ulzoo.data.image_folder import ImageFolderConfig
from ulzoo.data.parquet import ParquetConfig
from ulzoo.data.webdataset import WebDatasetConfig
from ulzoo.data.zip_archive import ZipConfig
from ulzoo.errors import DataError


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
