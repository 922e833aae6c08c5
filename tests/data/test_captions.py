"""Captions in files beside pictures, in folders and zip archives."""

from __future__ import annotations

import shutil
import zipfile

import pytest
from stored_formats import opened
from stored_pictures import CLASSES, as_folder, as_zip, records, zip_of

from ulzoo.cli import main
from ulzoo.data.array_record import ArrayRecordConfig
from ulzoo.data.captions import MOST_BYTES
from ulzoo.data.image_folder import ImageFolderConfig
from ulzoo.data.pipeline import Batches
from ulzoo.data.zip_archive import ZipConfig
from ulzoo.errors import DataError

EXPECTED = {
    f"{CLASSES[label]}/{number}.png": None if number == 5 else caption
    for label, number, _, caption in records()
}


def texts():
    """Path → what lies there; the last picture of each class has none."""
    for name, caption in EXPECTED.items():
        if caption is not None:
            yield name.replace(".png", ".TXT" if "/3" in name else ".txt"), f" {caption}\n".encode()
    yield "ant/of nothing.txt", b"x"


def folder(path):
    root = as_folder(path)
    for name, text in texts():
        (root / name).write_bytes(text)
    return root


def archive(path):
    root = as_zip(path)
    with zipfile.ZipFile(root, "a", zipfile.ZIP_DEFLATED) as file:
        for name, text in texts():
            file.writestr(name, text)
    return root


@pytest.mark.parametrize(("config", "make"), [(ImageFolderConfig, folder), (ZipConfig, archive)])
def test_captions_lie_beside_pictures(config, make, tmp_path):
    root = make(tmp_path)
    source = opened(config, root, captions=True)
    found = {source.record_name(i): source.caption(i) for i in range(len(source))}
    assert found == EXPECTED
    with Batches(source, batch_size=12, seed=0) as stream:
        assert sorted(next(stream)["caption"].tolist()) == sorted(text or "" for text in EXPECTED.values())
    # Where they are not asked for, nothing is read of them, and the records are the same.
    plain = opened(config, root)
    assert plain.caption(0) is None
    assert plain.fingerprint() == source.fingerprint()


def test_they_are_kept_by_shards(tmp_path, capsys):
    place = f"{{type: ulzoo.image_folder.v1, root: {folder(tmp_path)}, captions: true}}"
    assert main(["data", "prepare", place, str(tmp_path / "out"), "--shards", "2"]) == 0
    source = opened(ArrayRecordConfig, tmp_path / "out", captions=True)
    assert {source.record_name(i): source.caption(i) for i in range(len(source))} == EXPECTED
    assert main(["data", "check", place]) == 0
    assert "captions: 10" in capsys.readouterr().out


def test_elsewhere_too(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.store.clear()
    root = folder(tmp_path)
    for path in root.rglob("*.*"):
        system.pipe_file(f"/captioned/{path.relative_to(root).as_posix()}", path.read_bytes())
    source = opened(ImageFolderConfig, "memory://captioned", captions=True)
    assert {source.record_name(i): source.caption(i) for i in range(len(source))} == EXPECTED


def test_an_archive_without_any_is_told(tmp_path):
    with pytest.raises(DataError, match="no captions are stored with the pictures"):
        opened(ZipConfig, as_zip(tmp_path), captions=True)


def test_what_is_refused(tmp_path):
    root = folder(tmp_path)
    (root / "ant" / "5.txt").write_bytes(b"x" * (MOST_BYTES + 1))
    source = opened(ImageFolderConfig, root, captions=True, corrupt="skip")
    [source[i] for i in range(len(source))]
    assert source.faults() == {"ant/5.png": f"its caption is longer than {MOST_BYTES} bytes"}
    (root / "ant" / "5.txt").unlink()
    (tmp_path / "secret").write_text("secret")
    (root / "ant" / "5.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match=r"5\.txt' is a symbolic link that leads out"):
        opened(ImageFolderConfig, root, captions=True)
    shutil.rmtree(root)
    bad = zip_of(tmp_path / "x.zip", ("a/1.png", b"x"), ("../1.txt", b"x"))
    with pytest.raises(DataError, match="leads out of the archive"):
        opened(ZipConfig, bad, captions=True)
