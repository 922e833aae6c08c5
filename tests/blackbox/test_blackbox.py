"""A run that stops at a step that is not finite leaves a black box, and a new process plays it again."""

import json
import shutil
import subprocess
import sys

import pytest
from small_run import write_spec
from trap import TRAPPED, first_record, install

import ulzoo.hooks
from ulzoo.blackbox.box import read_boxes
from ulzoo.cli import main
from ulzoo.run import Run


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Where the plugin is, and the environment of processes that have it."""
    folder = tmp_path_factory.mktemp("site")
    return folder, install(folder)


@pytest.fixture
def here(site, monkeypatch):
    """This process has the plugin too."""
    monkeypatch.syspath_prepend(str(site[0]))


def ulzoo_in(environment, *arguments):
    command = [sys.executable, "-m", "ulzoo", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1200)


@pytest.fixture(scope="module")
def stopped(site, tmp_path_factory):
    """A bfloat16 run that was stopped by its data: directory, what it said, the step and its records."""
    folder, environment = site
    sys.path.insert(0, str(folder))
    try:
        step, threshold, records = first_record(TRAPPED, after=5)
    finally:
        sys.path.remove(str(folder))
    root = tmp_path_factory.mktemp("stopped")
    text = TRAPPED.replace("acme.trap.v1}", f"acme.trap.v1, threshold: {threshold}}}")
    done = ulzoo_in(environment, "run", write_spec(root, text), "--out", root / "run")
    assert done.returncode == 2, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return root / "run", done.stderr, step, records


def test_what_stopped_a_run_is_told_and_written(stopped):
    directory, error, step, records = stopped
    lines = error[error.index("stage1: the ") :].splitlines()
    start = (step - 1) // 4 * 4
    assert lines[2:] == [
        f"    the last checkpoint, of step {start}, is sound",
        "    first value that is not finite: encoder.trap, in the forward pass",
        f"    black box: {directory}/blackbox/stage1-{step:08d}",
        f"    play it again with: ulzoo replay {directory}",
    ]
    (box,) = read_boxes(Run.open(directory))
    assert (box.stage, box.step, box.noticed, box.start) == (1, step, step, start)
    assert list(box.records) == records
    assert (box.policy, box.precision, box.fault) == ("stop", "bfloat16", "")
    assert box.metrics["loss"] != box.metrics["loss"]
    assert box.origins["float32"] is None
    assert box.origins["bfloat16"]["operation"] == "mul"
    # Nothing but the box and the records before it: no checkpoint after the step.
    assert max(path.name for path in (directory / "checkpoints" / "stage1").iterdir()) == f"step_{start:08d}"


def test_a_new_process_reproduces_it_and_says_where(stopped, site):
    directory, _, step, records = stopped
    done = ulzoo_in(site[1], "replay", directory)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"stage 1, step {step}; 1 × cpu (cpu); state before it from the black box")
    assert lines[1] == "    loss nan"
    assert lines[3] == f"    8 records, as recorded: {', '.join(map(str, records))}"
    where = "in bfloat16, the first value that is not finite: encoder.trap, in the forward pass"
    assert lines[4] == where
    assert lines[5].startswith("    mul of finite values up to 1.845e+19 is inf  (")
    assert "acme_trap.py:" in lines[5]
    assert lines[6:] == ["in float32: every value that counts is finite", "reproduced"]


@pytest.mark.slow
def test_without_its_state_the_steps_before_it_are_taken_again(stopped, here, tmp_path, capsys):
    directory = shutil.copytree(stopped[0], tmp_path / "run")
    (path,) = (directory / "blackbox").glob("*/blackbox.json")
    shutil.rmtree(path.parent / "state")
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"state": False, "content": 1}))
    assert main(["replay", str(directory)]) == 0
    output = capsys.readouterr().out
    assert f"by the steps from the checkpoint of step {facts['start']}\n" in output
    assert "8 records, NOT those recorded: the data have changed" in output
    assert output.endswith("reproduced\n")
    path.write_text("{}")
    assert main(["replay", str(directory)]) == 2
    assert "blackbox.json: damaged" in capsys.readouterr().err


def test_a_run_without_a_black_box_says_so(stopped, here, tmp_path, capsys):
    directory = shutil.copytree(stopped[0], tmp_path / "run")
    assert main(["replay", str(directory), "--step", "1"]) == 2
    assert f"there: stage 1 step {stopped[2]}\n" in capsys.readouterr().err
    shutil.rmtree(directory / "blackbox")
    assert main(["replay", str(directory)]) == 2
    assert "no black box of such a step; there: none\n" in capsys.readouterr().err


@pytest.mark.slow
def test_too_many_skipped_steps_leave_one_too(here, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ulzoo.hooks, "LONGEST_SKIP", 3)
    text = TRAPPED.replace("acme.trap.v1}", "acme.trap.v1, threshold: -1.5}").replace(
        "ema: 0.9", "nonfinite: skip"
    )
    directory = tmp_path / "run"
    assert main(["run", str(write_spec(tmp_path, text)), "--out", str(directory)]) == 2
    assert "3 steps in a row skipped up to step 3" in capsys.readouterr().err
    (box,) = read_boxes(Run.open(directory))
    assert (box.step, box.start, box.policy, box.fault) == (3, None, "skip", "")
    assert box.origins["bfloat16"]["path"] == "encoder.trap"


OVERFLOWING = """\
ulzoo: 1
data: {type: ulzoo.digits.v1, size: 8}
encoder: {type: ulzoo.identity.v1}
prior: {type: ulzoo.normal_prior.v1}
decoder:
  type: ulzoo.mse_decoder.v1
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, patch: 2, embedding_width: 8}
stage1: {steps: 8, batch_size: 8, optimizer: {type: ulzoo.adam.v1, learning_rate: 1e39}}
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_weights_that_cease_to_be_finite_before_the_loss_does(tmp_path, capsys):
    """A learning rate above all float32: step 1 has a finite loss and gives infinite weights to step 2."""
    directory = tmp_path / "run"
    assert main(["run", str(write_spec(tmp_path, OVERFLOWING)), "--out", str(directory)]) == 2
    assert "there is no checkpoint from before" in capsys.readouterr().err
    (box,) = read_boxes(Run.open(directory))
    assert (box.step, box.noticed, box.start, box.state, box.fault) == (1, 2, None, True, "")
    assert box.origins["float32"]["path"] == ""
    assert main(["replay", str(directory)]) == 0
    output = capsys.readouterr().out
    assert "its loss and gradient were finite; noticed at step 2\n" in output
    assert "in no module: the stage's own loss, norm of the gradient or update" in output
    assert output.endswith("reproduced\n")
