"""The command: runs in series, continued, refused over a changed spec; a failure does not stop the rest."""

import csv
import json
import re

import pytest
import yaml
from quick_compilation import pytest_runtest_setup, pytest_runtest_teardown  # noqa: F401
from small_run import SPEC

import ulzoo.sweep.running
from ulzoo.cli import main
from ulzoo.errors import TrainingError

SETS = ["--set", "decoder.loss_factor=20,200", "--set", "seed=0,1"]
NAMES = [f"loss_factor={factor},seed={seed}" for factor in (20, 200) for seed in (0, 1)]


@pytest.fixture
def spec(tmp_path):
    data = yaml.safe_load(SPEC)
    data |= {"base_model": None, "stage2": None, "evaluate": data["evaluate"][:2]}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.fixture
def unreal(monkeypatch):
    """Names of the runs that were done, by something that trains nothing; those in `broken` fail."""
    done, broken = [], set()

    def run_all(run, experiment, *, stages, say):
        name = run.directory.name
        if name in broken:
            raise TrainingError(f"stage1: the loss is nan in {name}")
        if name == "stop":
            raise KeyboardInterrupt
        done.append(name)
        for part in ("stage1", "evaluate1"):
            run.mark_finished(part)

    monkeypatch.setattr(ulzoo.sweep.running, "run_all", run_all)
    return done, broken


def test_what_is_done_is_not_done_again_and_what_failed_is(spec, tmp_path, unreal, capsys):
    done, broken = unreal
    broken.add(NAMES[1])
    command = ["sweep", str(spec), *SETS, "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert done == [NAMES[0], *NAMES[2:]]
    assert f"1 of 4 runs failed\n{NAMES[1]}: stage1: the loss is nan" in capsys.readouterr().err
    broken.clear()
    assert main(command) == 0
    assert done == [NAMES[0], *NAMES[2:], NAMES[1]]
    # More of the same axis: what is there stays.
    more = [word.replace("20,200", "20,200,2000") for word in command]
    assert main(more) == 0
    assert done[4:] == ["loss_factor=2000,seed=0", "loss_factor=2000,seed=1"]


def test_without_a_place_it_has_one_of_its_own_and_goes_on_there(spec, tmp_path, unreal, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["sweep", str(spec), "--set", "seed=0"]
    assert main(command) == 0
    assert (tmp_path / "sweeps" / "small" / "grid.json").exists()
    assert "sweeps/small/results.csv" in capsys.readouterr().out
    assert main(command) == 0
    assert unreal[0] == ["seed=0"]


def test_another_spec_is_refused_before_anything_is_done(spec, tmp_path, unreal, capsys):
    done, _ = unreal
    command = ["sweep", str(spec), *SETS, "--out", str(tmp_path / "out")]
    assert main(command) == 0
    spec.write_text(spec.read_text().replace("batch_size: 8", "batch_size: 16"))
    assert main(command) == 2
    assert "was started with another spec: stage1.batch_size" in capsys.readouterr().err
    assert len(done) == 4


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["--set", "decoder.los_factor=1,2"], "did you mean 'loss_factor'"),
        (["--set", "encoder.latent_channels=2,-1"], "must be at least 1"),
        (["--set", "seed"], "expected PATH=VALUE,VALUE"),
    ],
)
def test_mistakes_are_told_before_any_directory_is_made(spec, tmp_path, unreal, capsys, sets, words):
    assert main(["sweep", str(spec), *sets, "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_directory_of_something_else_is_left_alone(spec, tmp_path, unreal, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    assert main(["sweep", str(spec), *SETS, "--out", str(tmp_path / "out")]) == 2
    assert "not empty, and no sweep" in capsys.readouterr().err
    assert not unreal[0]


def test_a_run_that_was_killed_while_it_was_made_is_made_again(spec, tmp_path, unreal):
    half = tmp_path / "out" / "runs" / NAMES[0]
    half.mkdir(parents=True)
    (half / "spec.yaml").write_text("half")
    (tmp_path / "out" / "grid.json").write_text("{}")
    assert main(["sweep", str(spec), *SETS, "--out", str(tmp_path / "out")]) == 0
    assert unreal[0] == NAMES


def test_two_real_runs_and_their_numbers(spec, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["sweep", str(spec), "--set", "decoder.loss_factor=20,200", "--set", "stage1.steps=10"]
    assert main([*command, "--stage", "1", "--out", str(out)]) == 0
    assert "run 2 of 2: loss_factor=200,steps=10" in capsys.readouterr().out
    data = json.loads((out / "results.json").read_text())
    assert [run["loss_factor"] for run in data["runs"]] == [20.0, 200.0]
    rows = list(csv.DictReader((out / "results.csv").open()))
    for run, row in zip(data["runs"], rows, strict=True):
        measured = run["measured"]["stage1/heldout/bits_per_pixel"]
        assert float(row["stage1/heldout/bits_per_pixel"]) == measured["value"] > 0
        assert measured["protocol"]["split"] == "heldout"
    page = (out / "sweep.html").read_text()
    assert "loss_factor 200, steps 10" in page
    assert page.count("<svg") == 1  # PSNR against bits


def test_a_field_that_came_since_a_run_was_started_is_no_other_spec(spec, tmp_path, unreal):
    done, _ = unreal
    command = ["sweep", str(spec), *SETS, "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert len(done) == 4
    for path in (tmp_path / "out").glob("runs/*/resolved.yaml"):
        text = path.read_text()
        path.write_text(re.sub(r"\n *workers: 0", "", text))
        assert path.read_text() != text
    assert main(command) == 0
    assert len(done) == 4
