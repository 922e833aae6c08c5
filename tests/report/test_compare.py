"""`ulzoo compare`: what was measured alike stands side by side; what was not is refused, with the reason."""

from __future__ import annotations

import json

import pytest
from made_run import make_run, measured

from ulzoo.cli import main

REFERENCE = {"of": "train images", "sha256": "a" * 64, "images": 60000}
FEATURES = {"network": "Inception 2015", "resize": "tensorflow", "weights": {"sha256": "b" * 64}}
FID = {"images": 50000, "seed": 0, "reference": REFERENCE, "features": FEATURES}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A and B agree on FID and PSNR; C's FID has another resizer, reference and number of samples."""
    folder = tmp_path_factory.mktemp("runs")
    other = FID | {
        "images": 10000,
        "reference": REFERENCE | {"sha256": "c" * 64},
        "features": FEATURES | {"resize": "clean"},
    }
    made = {
        "a": [
            measured("stage1/heldout/psnr", 23.5, "dB", interval=(23.25, 23.75), images=8),
            measured("stage2/train/fid", 7.25, "squared feature", **FID),
            measured("stage2/train/kid", 0.5, "1", images=8),
        ],
        "b": [
            measured("stage1/heldout/psnr", 25.5, "dB", images=8, spec_hash="x", hardware="y", ema=0.5),
            measured("stage2/train/fid", 6.5, "squared feature", **FID),
        ],
        "c": [
            measured("stage1/heldout/psnr", 24.5, "dB", images=8),
            measured("stage2/train/fid", 5.125, "squared feature", **other),
        ],
    }
    return {name: str(make_run(folder / name, lines=lines)) for name, lines in made.items()}


def compare(capsys, *arguments):
    status = main(["compare", *arguments])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_what_was_measured_alike_stands_side_by_side(runs, capsys):
    status, out, err = compare(capsys, runs["a"], runs["b"])
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "stage1/heldout/psnr (dB) 23.5 [23.25, 23.75] 25.5" in lines
    assert "stage2/train/fid (squared feature) 7.25 6.5" in lines
    assert "stage2/train/kid: A" in lines


def test_what_was_not_is_refused_with_the_reason(runs, capsys):
    status, out, _ = compare(capsys, runs["a"], runs["c"])
    # PSNR may be compared all the same.
    assert status == 0
    assert "stage2/train/fid: not compared, measured in different ways" in out
    for line in (
        "images: A 50000 · B 10000",
        "features.resize: A tensorflow · B clean",
        f"reference.sha256: A {'a' * 55}… · B {'c' * 55}…",
    ):
        assert line in out
    assert "7.25" not in out
    assert "5.125" not in out


def test_asking_for_a_number_that_cannot_be_compared_fails(runs, capsys):
    status, out, err = compare(capsys, runs["a"], runs["b"], runs["c"], "--metric", "fid")
    assert status == 2
    assert "not compared, because it was not measured alike: stage2/train/fid" in err
    assert "psnr" not in out
    status, out, _ = compare(capsys, runs["a"], runs["b"], "--metric", "fid", "--metric", "psnr")
    assert status == 0
    assert out.index("fid") < out.index("psnr")
    status, _, err = compare(capsys, runs["a"], runs["b"], "--metric", "fdi")
    assert status == 2
    assert "no run has measured 'fdi'" in err
    assert "stage2/train/fid" in err


def test_json_holds_no_number_that_was_refused(runs, capsys):
    status, out, _ = compare(capsys, runs["a"], runs["c"], "--json")
    data = json.loads(out)
    assert status == 0
    assert data["compared"] == [
        {
            "name": "stage1/heldout/psnr",
            "unit": "dB",
            "values": {"A": 23.5, "B": 24.5},
            "intervals": {"A": [23.25, 23.75]},
        }
    ]
    assert data["refused"][0]["differs"]["features.resize"] == {"A": "tensorflow", "B": "clean"}
    assert data["alone"] == {"stage2/train/kid": "A"}
    assert "7.25" not in out
    assert data["runs"]["B"]["directory"] == runs["c"]


def test_nothing_in_common(runs, tmp_path, capsys):
    lines = [measured("stage1/heldout/psnr", 1.0, "dB", images=9)]
    other = str(make_run(tmp_path / "other", lines=lines))
    status, _, err = compare(capsys, runs["a"], other)
    assert status == 2
    assert "nothing to compare" in err


def test_another_unit_is_another_measure(runs, tmp_path, capsys):
    other = str(make_run(tmp_path / "other", lines=[measured("stage1/heldout/psnr", 1.0, "nats", images=8)]))
    assert "unit: A dB · B nats" in compare(capsys, runs["a"], other)[1]


@pytest.mark.parametrize(
    ("pick", "words"),
    [("a", "2 to 8 runs, got 1"), ("aa", "a: given twice"), (["a", "none"], "none: no such run directory")],
)
def test_mistakes(runs, pick, words, capsys):
    status, _, err = compare(capsys, *(runs.get(name, name) for name in pick))
    assert status == 2
    assert words in err


def test_of_components_of_two_types_only_the_types_are_told(tmp_path, capsys):
    """Fields of one that the other does not have say nothing more."""
    folder = {"type": "ulzoo.image_folder.v1", "size": 32, "crop": "center"}
    both = [
        str(make_run(tmp_path / k, lines=[measured("stage1/heldout/psnr", 1.0, "dB", data=data, images=n)]))
        for k, data, n in (("a", folder, 8), ("b", {"type": "ulzoo.digits.v1", "size": 8}, 9))
    ]
    _, out, err = compare(capsys, *both)
    told = out + err
    assert "data.type: A ulzoo.image_folder.v1 · B ulzoo.digits.v1" in told
    assert "images: A 8 · B 9" in told
    assert "data.size" not in told
    assert "data.crop" not in told


@pytest.mark.parametrize(
    ("roots", "records", "refused"),
    [
        ("xy", "ff", None),  # the same pictures, which lie somewhere else here
        ("xx", "fg", "records.heldout: A f · B g"),  # pictures that were changed where they lay
        ("xy", "  ", "data.root: A x · B y"),  # nothing is known but the place
        ("xx", "f ", "records.heldout: A f · B none"),
    ],
)
def test_pictures_are_the_same_by_what_they_are_and_not_by_where_they_lie(
    roots, records, refused, tmp_path, capsys
):
    both = []
    for letter, root, found in zip("ab", roots, records, strict=True):
        how = {"data": {"type": "ulzoo.image_folder.v1", "root": root, "timeout": ord(root)}, "images": 8}
        how |= {"records": {"heldout": found}} if found.strip() else {}
        lines = [measured("stage1/heldout/psnr", 1.0, "dB", **how)]
        both.append(str(make_run(tmp_path / letter, lines=lines)))
    status, out, err = compare(capsys, *both)
    assert status == (0 if refused is None else 2)
    assert refused is None or refused in out + err
