"""Hashes of every record: as `sha256sum` writes them, and what has changed since they were taken."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess

import pytest
from stored_pictures import as_folder, encoded

from ulzoo.cli import main
from ulzoo.data.hashes import Changes, line
from ulzoo.data.image_folder import ImageFolderConfig


def checked(capsys, *arguments):
    status = main(["data", "check", *map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out + told.err


def test_the_list_is_of_the_files_bytes(tmp_path, capsys):
    folder = as_folder(tmp_path)
    (folder / "ant" / "back\\slash.png").write_bytes(encoded(40))
    assert checked(capsys, folder, "--out", tmp_path / "check")[0] == 0
    lines = (tmp_path / "check" / "sha256.txt").read_text().splitlines()
    digest = hashlib.sha256((folder / "ant" / "3.png").read_bytes()).hexdigest()
    assert f"{digest}  ant/3.png" in lines
    assert len(lines) == 13
    assert sorted(path.name for path in (tmp_path / "check").iterdir()) == [
        "check.json",
        "contact-sheet.png",
        "sha256.txt",
    ]
    if shutil.which("sha256sum"):
        command = ["sha256sum", "--check", "--quiet", tmp_path / "check" / "sha256.txt"]
        subprocess.run(command, cwd=folder, check=True)


def test_what_has_changed_since_is_named(tmp_path, capsys):
    """Also what a fingerprint cannot see: another picture in a file of the same size."""
    folder = as_folder(tmp_path)
    assert checked(capsys, folder, "--out", tmp_path / "check")[0] == 0
    status, told = checked(capsys, folder, "--against", tmp_path / "check")
    assert status == 0
    assert "nothing has changed since" in told

    before = ImageFolderConfig(root=str(folder), size=4).open("train").fingerprint()
    path = folder / "bee" / "2.png"
    was = path.read_bytes()
    path.write_bytes(next(data for data in map(encoded, range(200)) if len(data) == len(was) and data != was))
    assert ImageFolderConfig(root=str(folder), size=4).open("train").fingerprint() == before
    (folder / "bee" / "0.png").rename(folder / "bee" / "new.png")
    (folder / "bee" / "4.png").write_bytes(b"cut")
    status, told = checked(
        capsys, folder, "--against", tmp_path / "check" / "sha256.txt", "--out", tmp_path / "again"
    )
    assert status == 1
    for words in (
        "changed since: 2: bee/2.png, bee/4.png",
        "new since: 1: bee/new.png",
        "gone since, or not to be read: 1: bee/0.png",
    ):
        assert words in told
    report = json.loads((tmp_path / "again" / "check.json").read_text())
    assert (report["changed"], report["new"], report["gone"]) == (
        ["bee/2.png", "bee/4.png"],
        ["bee/new.png"],
        ["bee/0.png"],
    )


@pytest.mark.parametrize("name", ["a.png", "a\nb.png", "a\\nb.png", "\\\n\r\\.png", os.fsdecode(b"\xff.png")])
def test_names_come_back_as_they_were(name, tmp_path):
    path = tmp_path / "list"
    path.write_text(line(name, "a" * 64) + line("other", "b" * 64), errors="surrogateescape", newline="")
    changes = Changes.since(str(path))
    assert changes.before == {name: "a" * 64, "other": "b" * 64}
    changes.meet(name, "a" * 64)
    assert changes.gone == ["other"]
    assert changes


def test_lists_that_are_none(tmp_path, capsys):
    folder = as_folder(tmp_path)
    (tmp_path / "text").write_text(f"{'a' * 64}  a.png\nno hash\n")
    for place, words in ((tmp_path / "none", "No such file"), (tmp_path / "text", "line 2 is 'no hash")):
        status, told = checked(capsys, folder, "--against", place)
        assert status == 2
        assert words in told


def test_pictures_that_are_larger_than_usual_are_asked_for(tmp_path, capsys):
    folder = as_folder(tmp_path)
    (folder / "ant" / "large.png").write_bytes(encoded(7, (40, 40)))
    status, told = checked(capsys, folder, "--max-pixels", "1599")
    assert status == 1
    assert "ant/large.png (40×40 pixels are more than 1599)" in told
    prepared = ["data", "prepare", str(folder), str(tmp_path / "out"), "--shards", "1", "--max-pixels"]
    assert main([*prepared, "1599"]) == 2
    assert "large.png is damaged" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "out")
    assert main([*prepared, "1600"]) == 0
    assert checked(capsys, folder, "--max-pixels", "1600")[0] == 0
