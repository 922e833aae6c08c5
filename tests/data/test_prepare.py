"""`ulzoo data prepare` and `check`: shards that hold what was there, and a survey that names what is not."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from stored_pictures import (
    CLASSES,
    EXPECTED,
    as_folder,
    as_parquet,
    as_tar,
    as_zip,
    encoded,
    noise,
    records,
    values,
)

from ulzoo.cli import main
from ulzoo.data.ahead import in_order
from ulzoo.data.array_record import ArrayRecordConfig
from ulzoo.data.image_folder import ImageFolderConfig
from ulzoo.data.opening import open_collection
from ulzoo.data.prepare import prepare
from ulzoo.data.shard_files import damage, load_manifest, spans
from ulzoo.data.survey import survey
from ulzoo.errors import DataError


def read(root, split="train", **fields):
    fields = {"size": 4, "heldout_root": str(root)} | fields
    return ArrayRecordConfig(root=str(root), **fields).open(split)


@pytest.mark.parametrize("make", [as_folder, as_zip, as_tar, as_parquet])
def test_every_format_becomes_shards_with_the_same_records(make, tmp_path):
    collection = open_collection(str(make(tmp_path)))
    manifest = prepare(collection, tmp_path / "out", shards=3, licence="CC0")
    source = read(tmp_path / "out")
    assert values(source) == EXPECTED
    # Names too, and so the same records are held out.
    assert [source.record_name(i) for i in range(len(source))] == [
        collection.name(i) for i in range(len(collection))
    ]
    assert {source.picture(i).image for i in range(len(source))} == {data for _, _, data, _ in records()}
    assert (manifest["records"], manifest["licence"], len(manifest["shards"])) == (12, "CC0", 3)
    assert manifest["per_class"] == {"0": 6, "1": 6}
    assert manifest["originals"] == {"least_width": 9, "least_height": 7, "most_width": 9, "most_height": 7}
    if make in (as_tar, as_parquet):
        assert manifest["captions"] == (12 if make is as_tar else 0)
    if make is not as_tar:
        assert manifest["classes"] == list(CLASSES)
        assert source.collection.class_names == CLASSES
    assert damage(tmp_path / "out", manifest) == []
    assert json.loads((tmp_path / "out/manifest.json").read_text()) == manifest


def test_a_split_survives_preparing(tmp_path):
    folder = as_folder(tmp_path)
    prepare(open_collection(str(folder)), tmp_path / "out", shards=2)
    for split in ("train", "heldout"):
        before = ImageFolderConfig(root=str(folder), size=4, heldout_fraction=0.4).open(split)
        after = ArrayRecordConfig(root=str(tmp_path / "out"), size=4, heldout_fraction=0.4).open(split)
        for index in range(len(before)):
            assert before.record_name(index) == after.record_name(index)
            np.testing.assert_array_equal(before[index]["image"], after[index]["image"])


def test_threads_change_nothing(tmp_path):
    collection = open_collection(str(as_zip(tmp_path)))
    hashes = {prepare(collection, tmp_path / f"{n}", shards=2, threads=n)["sha256"] for n in (1, 4)}
    assert len(hashes) == 1


class Interrupted(Exception):
    pass


def test_an_interrupted_call_goes_on_and_refuses_other_pictures(tmp_path):
    folder = as_folder(tmp_path)
    collection = open_collection(str(folder))
    whole = prepare(collection, tmp_path / "whole", shards=4)
    done = []

    def stop(steps):
        done.append(steps)
        if len(done) == 8:
            raise Interrupted

    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        prepare(collection, out, shards=4, advance=stop)
    assert len(list(out.glob("*.array_record"))) == 2
    assert not list(out.glob(".*"))
    with pytest.raises(DataError, match="not finished; give the same command again"):
        load_manifest(out)
    for change, message in [
        ({"shards": 3}, "shards: 4, not 3"),
        ({"shards": 4, "size": 5}, "size: null, not 5"),
    ]:
        with pytest.raises(DataError, match=f"begun from something else(.|\n)*{message}"):
            prepare(collection, out, **change)
    (folder / "bee/new.png").write_bytes(encoded(5))
    with pytest.raises(DataError, match=r"source\.fingerprint(.|\n)*source\.records: 12, not 13"):
        prepare(open_collection(str(folder)), out, shards=4)
    (folder / "bee/new.png").unlink()
    steps = []
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*.array_record")}
    assert prepare(collection, out, shards=4, advance=steps.append)["sha256"] == whole["sha256"]
    assert sum(steps) == 12
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    with pytest.raises(DataError, match="finished already"):
        prepare(collection, out, shards=4)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("mine")
    with pytest.raises(DataError, match="is not empty"):
        prepare(collection, tmp_path / "other", shards=4)
    with pytest.raises(DataError, match="12 records make 1 to 12 shards, not 13"):
        prepare(collection, tmp_path / "many", shards=13)


def test_damaged_records_by_policy(tmp_path):
    folder = as_folder(tmp_path)
    (folder / "ant/3.png").write_bytes(encoded(3)[:50])
    collection = open_collection(str(folder))
    with pytest.raises(DataError, match=r"ant/3\.png is damaged .*--corrupt skip"):
        prepare(collection, tmp_path / "a", shards=2)
    manifest = prepare(collection, tmp_path / "b", shards=2, corrupt="skip")
    assert list(manifest["skipped"]) == ["ant/3.png"]
    assert values(read(tmp_path / "b")) == EXPECTED - {(3, 0)}


def test_size_shrinks_what_is_larger_and_keeps_the_rest(tmp_path):
    (tmp_path / "data").mkdir()
    large = Image.fromarray(np.kron(noise((6, 8)), np.ones((16, 16, 1), np.uint8)))  # 96 × 128
    exif = Image.Exif()
    exif[0x0112] = 6
    large.save(tmp_path / "data/a.jpg", quality=95, exif=exif)
    large.save(tmp_path / "data/b.png")
    (tmp_path / "data/c.png").write_bytes(encoded(9, (20, 20)))
    Image.fromarray(noise((64, 64))[..., 0]).save(tmp_path / "data/d.png")
    collection = open_collection(str(tmp_path / "data"))
    prepare(collection, tmp_path / "out", shards=1, size=24)
    source = read(tmp_path / "out", labels="none")
    found = {source.record_name(i): source.picture(i).image for i in range(len(source))}
    opened = {name: Image.open(io.BytesIO(data)) for name, data in found.items()}
    assert {n: (p.format, p.mode, p.size) for n, p in opened.items()} == {
        "a.jpg": ("JPEG", "RGB", (24, 32)),  # upright
        "b.png": ("PNG", "RGB", (32, 24)),
        "c.png": ("PNG", "RGB", (20, 20)),
        "d.png": ("PNG", "L", (24, 24)),
    }
    assert found["c.png"] == encoded(9, (20, 20))
    means = np.asarray(large, np.float64).reshape(3, 32, 4, 32, 3).mean((1, 3))
    small = np.asarray(opened["b.png"], np.float64).reshape(3, 8, 4, 8, 3).mean((1, 3))
    # Means over large blocks survive any antialiased filter but at the blocks' edges.
    assert np.abs(means - small).mean() < 6


# ---- check ---------------------------------------------------------------------------------------


@pytest.fixture
def odd(tmp_path):
    folder = tmp_path / "odd" / "x"
    folder.mkdir(parents=True)
    picture = Image.fromarray(noise((40, 50)))
    exif = Image.Exif()
    exif[0x0112] = 8
    picture.save(folder / "plain.jpg")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(noise((40, 40))[..., 0].astype(np.uint16) * 200).save(folder / "deep.png")
    picture.convert("P").save(folder / "palette.png")
    picture.convert("RGBA").save(folder / "alpha.png")
    picture.save(folder / "turned.jpg", exif=exif)
    picture.save(folder / "moving.png", save_all=True, append_images=[Image.fromarray(noise((40, 50), 1))])
    picture.resize((50, 8)).save(folder / "tiny.png")
    (folder / "cut.jpg").write_bytes((folder / "plain.jpg").read_bytes()[:300])
    (folder / "text.png").write_text("no picture")
    return folder.parent


def test_a_survey_names_everything_unusual(odd):
    found = survey(open_collection(str(odd)))
    assert found.odd == {
        "CMYK": ["x/cmyk.jpg"],
        "16-bit": ["x/deep.png"],
        "palette": ["x/palette.png"],
        "alpha": ["x/alpha.png"],
        "EXIF-rotated": ["x/turned.jpg"],
        "animated": ["x/moving.png"],
        "one frame": [],  # of clips
    }
    assert found.tiny == ["x/tiny.png"]
    assert set(found.damaged) == {"x/cut.jpg", "x/text.png"}
    assert not found.sound
    assert found.formats == {"JPEG": 3, "PNG": 5}
    assert found.per_class == {0: 10}
    assert found.sheet.shape == (96, 8 * 96 + 7 * 2, 3)
    assert found.bytes == sum(
        path.stat().st_size for path in (odd / "x").iterdir() if path.name not in ("cut.jpg", "text.png")
    )


def test_check_on_the_command_line(odd, tmp_path, capsys):
    assert main(["data", "check", str(odd), "--out", str(tmp_path / "report")]) == 1
    output = capsys.readouterr().out
    for line in ("damaged: 2: x/cut.jpg (", "CMYK: 1: x/cmyk.jpg", "tiny (a side below 32): 1: x/tiny.png"):
        assert line in output
    report = json.loads((tmp_path / "report/check.json").read_text())
    assert report["odd"]["animated"] == ["x/moving.png"]
    assert (tmp_path / "report/contact-sheet.png").exists()


def test_prepare_and_check_on_the_command_line(tmp_path, capsys):
    folder, out = as_folder(tmp_path), tmp_path / "out"
    (tmp_path / "LICENCE").write_text("do what you like\n")
    call = [
        "data",
        "prepare",
        str(folder),
        str(out),
        "--shards",
        "2",
        "--licence",
        f"@{tmp_path / 'LICENCE'}",
    ]
    assert main(call) == 0
    assert "12 records in 2 shards" in capsys.readouterr().out
    assert json.loads((out / "manifest.json").read_text())["licence"] == "do what you like\n"
    assert main(["data", "check", str(out)]) == 0
    assert "classes: 2, the largest 1 times the smallest: ant 6, bee 6" in capsys.readouterr().out
    shard = out / "data-00001-of-00002.array_record"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert main(["data", "check", str(out)]) == 1
    assert (
        "damaged shard: data-00001-of-00002.array_record: its content has changed" in capsys.readouterr().out
    )
    assert main(call) == 2
    assert "finished already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("{gone}", "no such file or folder"),
        ("{type: ulzoo.digits.v1}", "no dataset of stored pictures"),
        ("{type: ulzoo.image_folder.v1}", "root: Field required"),
        ("{type: ulzoo.nothing.v1}", "no dataset named"),
        ("{typ: x}", "is no dataset; write {type"),
        ("{a: [", "dataset:1"),
        ("{empty}", "no pictures"),
        ("{text}", "no format that is known"),
    ],
)
def test_places_that_hold_nothing(place, message, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.text").write_text("x")
    for name, path in (("gone", "gone"), ("empty", "empty"), ("text", "x.text")):
        place = place.replace(f"{{{name}}}", str(tmp_path / path))
    assert main(["data", "check", place]) == 2
    assert message in capsys.readouterr().err


def test_a_dataset_in_braces(tmp_path):
    root = as_parquet(tmp_path)
    collection = open_collection(f"{{type: ulzoo.parquet.v1, root: {root}, caption_column: text}}")
    assert collection[0].caption == "ant Nº 0"
    with pytest.raises(DataError, match="lies in no class folder"):
        open_collection(str(as_folder(tmp_path) / "ant"), labels=True)
    assert open_collection(str(tmp_path / "folder/ant"))[0].label is None


def test_pieces_are_of_equal_size():
    for count, shards in [(12, 5), (3, 3), (100, 7), (5, 1)]:
        pieces = spans(count, shards)
        assert [i for piece in pieces for i in piece] == list(range(count))
        assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


def test_results_come_in_order_and_errors_where_they_belong():
    import threading
    import time

    seen = set()

    def slow(i):
        seen.add(threading.get_ident())
        time.sleep(0.02 if i % 3 == 0 else 0)
        if i == 20:
            raise ValueError("twenty")
        return i * i

    results = in_order(slow, range(100), 4)
    assert [next(results) for _ in range(20)] == [i * i for i in range(20)]
    with pytest.raises(ValueError, match="twenty"):
        next(results)
    assert len(seen) > 1
