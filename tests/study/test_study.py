"""Studies: their files, the verdicts on their claims, and their pages."""

import json
import sys
from pathlib import Path

import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from made_run import make_run, measured

from ulzoo.cli import main
from ulzoo.declarations import load_declared
from ulzoo.errors import SpecError
from ulzoo.report.numbers import short
from ulzoo.study.claims import answer
from ulzoo.study.markdown import study_text, write_study
from ulzoo.study.model import Claim, base_path, load_study
from ulzoo.sweep.results import read_rows

FOLDER = Path(__file__).parents[2] / "specs" / "studies"
NUMBER = "stage1/heldout/psnr"
STUDY = """\
study: 1
title: Made up
base: base.yaml
overrides: {stage1.steps: 7}
variants:
  low: {decoder.loss_factor: 1}
  high: {decoder.loss_factor: 2}
seeds: [3, 4, 5]
stages: [1]
claims:
  - {text: It rises., source: nobody, number: stage1/heldout/psnr, rises: [low, high]}
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "made.yml"
    path.write_text(STUDY)
    return load_study(path)


def rows(study, folder, values):
    """Runs with one PSNR each, in the order of the study's points; None: not begun."""
    for point, value in zip(study.points(), values, strict=True):
        if value is not None:
            bits = measured("stage1/heldout/bits_per_pixel", value / 100, "bits/pixel")
            lines = [measured(NUMBER, value, "dB"), bits]
            make_run(folder / "runs" / point.name, lines=lines)
    return read_rows(folder, study.points())


def test_every_variant_is_run_with_every_seed(study):
    points = study.points()
    assert [point.name for point in points] == [f"{v},seed={s}" for v in ("low", "high") for s in (3, 4, 5)]
    assert points[0].overrides == {"stage1.steps": 7, "decoder.loss_factor": 1, "seed": 3}


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        # Apart by more than their spread; seeds pair up, so their own spread does not count.
        ((20.0, 25.0, 30.0, 21.0, 26.1, 31.0), "agrees"),
        ((21.0, 26.1, 31.0, 20.0, 25.0, 30.0), "disagrees"),
        ((20.0, 21.0, 22.0, 20.5, 20.0, 24.0), "undecided"),
        # One pair has no spread to judge by.
        ((20.0, None, None, 90.0, None, None), "undecided"),
        ((None,) * 6, "undecided"),
    ],
)
def test_a_claim_holds_where_the_interval_of_paired_differences_does(study, tmp_path, values, verdict):
    found = answer(study, study.claims[0], rows(study, tmp_path / "out", values))
    assert found.verdict == verdict
    if None not in values:
        expected = stats.ttest_rel(values[3:], values[:3]).confidence_interval(0.95)
        # Both in float64.
        assert found.steps[0].interval == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_one_step_against_it_is_disagreement_however_the_others_are(study, tmp_path):
    there = rows(study, tmp_path / "out", (20.0, 25.0, 30.0, 21.0, 26.1, 31.0))
    claim = Claim(text="up and down", number=NUMBER, rises=("low", "high"))
    back = Claim(text="down", number=NUMBER, rises=("high", "low"))
    assert answer(study, claim, there).verdict == "agrees"
    assert answer(study, back, there).verdict == "disagrees"


def test_two_numbers_of_one_variant_are_compared_seed_by_seed(study, tmp_path):
    for k, point in enumerate(study.points()):
        lines = [measured(NUMBER, 20.0 + 3 * k, "dB"), measured("stage1/train/psnr", 21.0 + 3.1 * k, "dB")]
        make_run(tmp_path / "out" / "runs" / point.name, lines=lines)
    there = read_rows(tmp_path / "out", study.points())
    claim = Claim(text="Train is easier.", number=(NUMBER, "stage1/train/psnr"), rises=("low", "low"))
    found = answer(study, claim, there)
    assert found.verdict == "agrees"
    # Of seeds 0 to 2 of the first variant: 1 + 0.1 k.
    assert found.steps[0].difference == pytest.approx(1.1)
    page = study_text("ulzoo study", study.model_copy(update={"claims": (claim,)}), there)
    assert f"`{NUMBER}`, then `stage1/train/psnr`" in page


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((0.0, 0.04, -0.05, 0.01, 0.02, 0.0), "agrees"),
        ((0.0, 0.06, 0.0, 0.01, 0.02, 0.0), "disagrees"),
        ((0.0, 0.01, 0.0, 0.01, 0.02, None), "undecided"),
    ],
)
def test_a_number_lies_within_bounds_in_every_run(study, tmp_path, values, verdict):
    there = rows(study, tmp_path / "out", values)
    claim = Claim(text="On the target.", number=NUMBER, within=(-0.05, 0.05))
    found = answer(study, claim, there)
    assert found.verdict == verdict
    assert found.steps[0].words() == f"low: {short(values[0])}, {short(values[1])}, {short(values[2])}"


def test_the_page_has_numbers_verdicts_and_figures(study, tmp_path):
    there = rows(study, tmp_path / "out", (20.0, 25.0, 30.0, 21.0, 26.1, 31.0))
    path = write_study(tmp_path / "pages", "made", "ulzoo study made.yml --out out", study, there)
    text = path.read_text()
    assert "6 of 6 runs: 2 variants, seeds 3, 4, 5, stage 1, from `base.yaml`" in text
    assert "| It rises. | nobody | `stage1/heldout/psnr` | **agrees** | low → high: 1.033 (" in text
    assert "| low | 3 | 25 (" in text
    assert "![" in text
    runs = [json.loads(line) for line in (tmp_path / "pages" / "made.jsonl").read_text().splitlines()]
    assert [run["measured"][NUMBER]["value"] for run in runs] == [20.0, 25.0, 30.0, 21.0, 26.1, 31.0]
    assert "[`made.jsonl`](made.jsonl)" in text
    assert (tmp_path / "pages" / "made-1.svg").read_text().startswith("<svg xmlns=")


def test_the_page_of_a_study_that_has_not_begun_says_so(study):
    assert "Nothing has been measured yet" in study_text("ulzoo study", study, [])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("study: 1", "study: 2", r"made\.yml:1:\d: study: "),
        ("title: Made up", "titel: Made up", "titel"),
        ("rises: [low, high]", "rises: [low, hihg]", "a claim names the variant 'hihg'; there are low, high"),
        ("rises: [low, high]", "rises: [low]", "claims.0.rises"),
        ("rises: [low, high]", "rises: [low, high], within: [0, 1]", "either rises or within"),
        ("rises: [low, high]", "within: [1, 0]", "a lower bound below"),
        ("rises: [low, high]", "rises: [low, low]", "names a variant twice"),
        ("number: stage1/heldout/psnr", "number: [a, b, c]", "has 3 numbers for 2 variants"),
        ("seeds: [3, 4, 5]", "seeds: [3, 3]", "seeds must differ"),
        ("{decoder.loss_factor: 1}", "{seed: 1}", "give it under seeds"),
        (STUDY, "- 1", "starts with 'study: 1'"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(tmp_path, old, new, words):
    path = tmp_path / "made.yml"
    path.write_text(STUDY.replace(old, new))
    with pytest.raises(SpecError, match=words):
        load_study(path)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.stem)
def test_the_studies_that_come_along_are_specs_in_every_variant(path, builtin_registry):
    study = load_study(path)
    assert study.claims
    for point in study.points():
        if point.overrides["seed"] == study.seeds[0]:
            load_declared(base_path(path, study), dict(point.overrides), builtin_registry)


def test_the_command_needs_a_place_for_the_runs(tmp_path, capsys):
    assert main(["study", str(FOLDER / "channels.yml")]) == 2
    assert "give --out DIR" in capsys.readouterr().err
