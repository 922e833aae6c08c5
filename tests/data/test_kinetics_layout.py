"""Videos that a table names, in the layout of Kinetics: which file is whose, and what is missing."""

import numpy as np
import pytest
from pydantic import ValidationError

from ulzoo.clips import write_clip
from ulzoo.damage_log import damage_hook
from ulzoo.data.opening import open_collection
from ulzoo.data.pipeline import batches
from ulzoo.data.videos import VideoFolderConfig
from ulzoo.data.videos.kinetics import read_table
from ulzoo.errors import DataError

TABLE = """\
label,youtube_id,time_start,time_end,split
waving,aa-_0000001,0,10,train
"juggling, fire",bb_00000002,95,105,train
waving,cc000000003,7,17,train
zorbing,dd000000004,7.0,17.0,train
juggling fire,ee000000005,1,11,test
waving,ff000000006,2,12,validate
"juggling, fire",gg000000007,3,13,val
"""
FILES = {
    "train/aa-_0000001_000000_000010": 10,
    "train/deep/bb_00000002_000095_000105": 20,
    "train/cc000000003_000007_000017": 30,
    "val/ff000000006_000002_000012": 60,
    "val/gg000000007_000003_000013": 70,
    "train/unnamed_000000_000010": 90,
}


@pytest.fixture
def kinetics(tmp_path):
    (tmp_path / "k.csv").write_text(TABLE, encoding="utf-8")
    for name, level in FILES.items():
        path = tmp_path / f"{name}.gif"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(
            path,
            np.arange(level, level + 6, dtype=np.uint8)[:, None, None, None]
            * np.ones((1, 8, 8, 1), np.uint8),
        )
    return tmp_path


def config(folder, **fields):
    usual = {
        "root": str(folder / "train"),
        "heldout_root": str(folder / "val"),
        "size": 8,
        "frames": 4,
        "labels": "csv",
        "csv": str(folder / "k.csv"),
        "missing": "skip",
        "channels": 1,
    }
    return VideoFolderConfig(**usual | fields)


def told(source):
    """Level of the first clip's middle, divided by ten, and label, of each record."""
    records = [source[i] for i in range(len(source))]
    return {
        source.record_name(i): (int(r["image"].min()) // 10, int(r["label"])) for i, r in enumerate(records)
    }


def test_rows_find_their_files_and_classes(kinetics):
    dataset = config(kinetics)
    # Sorted by name; that of the row whose file is missing, and of the test split, count.
    assert dataset.io().num_classes == 4
    assert told(dataset.open("train")) == {
        "aa-_0000001_000000_000010.gif": (1, 2),
        "cc000000003_000007_000017.gif": (3, 2),
        "deep/bb_00000002_000095_000105.gif": (2, 1),
    }
    assert told(dataset.open("heldout")) == {
        "ff000000006_000002_000012.gif": (6, 2),
        "gg000000007_000003_000013.gif": (7, 1),
    }
    assert dataset.open("train").collection.class_names == (
        "juggling fire",
        "juggling, fire",
        "waving",
        "zorbing",
    )


def test_a_number_of_classes_needs_no_table(tmp_path):
    dataset = config(tmp_path, classes=600)
    assert dataset.io().num_classes == 600
    with pytest.raises(DataError, match=r"k.csv"):
        dataset.open("train")


def test_missing_videos_by_policy(kinetics):
    with pytest.raises(DataError, match=r"lacks 1 of the 4 .*'dd000000004_000007_000017.mp4' \(line 5\)"):
        config(kinetics, missing="error").open("train")
    source = config(kinetics).open("train")
    assert source.skipped == ()
    assert source.faults() == {"dd000000004_000007_000017": f"missing (line 5 of {kinetics / 'k.csv'})"}


def test_missing_and_one_frame_videos_are_counted_and_named(kinetics):
    write_clip(kinetics / "train/dd000000004_000007_000017.gif", np.zeros((1, 8, 8, 1), np.uint8))
    (kinetics / "train/cc000000003_000007_000017.gif").unlink()
    written = []
    with batches(config(kinetics, corrupt="skip"), batch_size=3, seed=0, threads=0) as stream:
        hook = damage_hook(stream, "stage1", [], written.extend)
        for _ in range(3):
            next(stream)
        hook(3)
    assert written[0].value == 2
    assert written[0].extra["names"] == {
        "cc000000003_000007_000017": f"missing (line 4 of {kinetics / 'k.csv'})",
        "dd000000004_000007_000017.gif": "has 1 of the 4 frames that a clip needs",
    }


def test_held_out_by_a_table_of_its_own_or_by_fraction(kinetics):
    (kinetics / "own.csv").write_text(
        "split,time_end,time_start,youtube_id,label\nx,12,2,ff000000006,waving\n", encoding="utf-8"
    )
    own = config(kinetics, heldout_csv=str(kinetics / "own.csv"))
    assert list(told(own.open("heldout"))) == ["ff000000006_000002_000012.gif"]
    (kinetics / "all.csv").write_text(TABLE.partition("juggling fire,ee")[0], encoding="utf-8")
    by_hash = {"csv": str(kinetics / "all.csv"), "heldout_root": None, "heldout_fraction": 0.5}
    dataset = config(kinetics, **by_hash)
    names = [set(told(dataset.open(split))) for split in ("train", "heldout")]
    assert not names[0] & names[1]
    assert len(names[0] | names[1]) == 3


def test_a_command_line_lists_what_the_table_names(kinetics):
    text = (
        f"{{type: ulzoo.video_folder.v1, root: {kinetics / 'train'}, labels: csv, csv: {kinetics / 'k.csv'},"
    )
    collection = open_collection(text + " missing: skip, frames: 4}")
    assert len(collection) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,youtube_id,time_start\na,b,1\n", r":1: .*time_end not found"),
        (
            "label,youtube_id,time_start,time_end\na,b,x,2\n",
            r":2: time_start must be a number of seconds, got 'x'",
        ),
        ("label,youtube_id,time_start,time_end\na,,1,2\n", r":2: no youtube_id"),
        (
            "label,youtube_id,time_start,time_end\na,b,1,2\n\na,b,1,2\n",
            r":4: 'b_000001_000002' was named in line 2",
        ),
        ("label,youtube_id,time_start,time_end\na,b,1,1e9\n", r":2: time_end must be 0 to 999999"),
        ("label,youtube_id,time_start,time_end\n", "names no video"),
        ("", "label, youtube_id, time_start, time_end not found"),
    ],
)
def test_tables_that_are_none_are_refused_with_their_line(tmp_path, text, message):
    (tmp_path / "k.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(str(tmp_path / "k.csv"))


def test_bytes_that_are_no_table_are_refused(tmp_path):
    (tmp_path / "k.csv").write_bytes(b"label,\xff")
    with pytest.raises(DataError, match="no table of comma-separated values"):
        read_table(str(tmp_path / "k.csv"))


def test_labels_and_names_that_do_not_fit_are_refused(kinetics):
    (kinetics / "own.csv").write_text("label,youtube_id,time_start,time_end\nskiing,ff000000006,2,12\n")
    with pytest.raises(DataError, match=r"own.csv:2: no class 'skiing'"):
        config(kinetics, heldout_csv=str(kinetics / "own.csv")).open("heldout")
    write_clip(kinetics / "train/deep/aa-_0000001_000000_000010.webp", np.zeros((6, 8, 8, 1), np.uint8))
    with pytest.raises(DataError, match="two videos 'aa-_0000001_000000_000010'"):
        config(kinetics).open("train")
    with pytest.raises(DataError, match="holds 4 classes, not 5"):
        config(kinetics, classes=5).open("heldout")


@pytest.mark.parametrize("fields", [{"labels": "csv"}, {"csv": "x.csv"}, {"missing": "skip"}])
def test_a_table_and_its_fields_belong_together(tmp_path, fields):
    with pytest.raises(ValidationError, match="csv"):
        VideoFolderConfig(root=str(tmp_path), size=8, frames=2, **fields)
