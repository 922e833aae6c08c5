"""Pictures that are elsewhere, or nowhere, or need a package that is not here."""

from __future__ import annotations

import sys

import pytest
from stored_formats import FORMATS, opened
from stored_pictures import EXPECTED, PER_CLASS, as_plain_array_record, values

from ulzoo.data.array_record import ArrayRecordConfig
from ulzoo.data.collections.array_record import Shards
from ulzoo.data.image_folder import ImageFolderConfig
from ulzoo.data.parquet import ParquetConfig
from ulzoo.data.storage import blob, local_copy
from ulzoo.data.webdataset import WebDatasetConfig
from ulzoo.data.zip_archive import ZipConfig
from ulzoo.errors import DataError


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
