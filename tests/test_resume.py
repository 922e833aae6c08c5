"""A run that was stopped or killed goes on to what one gives that was not, bit for bit; or says why not."""

import json
import re
import shutil
import time
from importlib.util import find_spec

import jax
import numpy as np
import pytest
from final_state import state_arrays
from small_run import SPEC, finished_run, start, write_spec

from ulzoo.checkpoint import Checkpoints
from ulzoo.cli import main
from ulzoo.errors import CheckpointError, RunError
from ulzoo.experiment import Experiment
from ulzoo.restoring import restore
from ulzoo.run import Run
from ulzoo.spec import parse_spec, spec_hash
from ulzoo.stages import spec_of


def wait_for(path, process):
    deadline = time.monotonic() + 600
    while not path.exists():
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill_after(path, process):
    """SIGKILL once `path` is there."""
    wait_for(path, process)
    process.kill()
    process.communicate()


def terminate_after(path, process):
    """SIGTERM once `path` is there; what the process then says."""
    wait_for(path, process)
    process.terminate()
    _, error = process.communicate(timeout=300)
    assert process.returncode == 143, error[-3000:]
    assert "Traceback" not in error
    return error


@pytest.fixture(scope="module")
def killed_run(tmp_path_factory):
    """Terminated in stage 1, resumed, killed in stage 2, its last checkpoint damaged, resumed.

    Followed by TensorBoard if it can be.
    """
    folder = tmp_path_factory.mktemp("killed")
    directory = folder / "a run"
    followed = "trackers: [{type: ulzoo.tensorboard.v1}]\n" if find_spec("tensorboardX") else ""
    process = start("run", write_spec(folder, SPEC + followed), "--out", directory)
    error = terminate_after(directory / "checkpoints" / "stage1" / "step_00000008", process)
    assert "SIGTERM: stopping after this step, to save it; another signal stops at once\n" in error
    ending = f"interrupted\n    step (\\d+) is saved\n    continue with: ulzoo run --resume '{directory}'\n"
    step = int(re.search(ending, error)[1])
    assert (directory / "checkpoints" / "stage1" / f"step_{step:08d}").is_dir()
    assert Run.open(directory).finished() == ()
    process = start("run", "--resume", directory)
    kill_after(directory / "checkpoints" / "stage2" / "step_00000016", process)
    assert Run.open(directory).finished() == ("stage1", "evaluate1")
    damaged = directory / "checkpoints" / "stage2" / f"step_{last_step(directory, 2):08d}"
    # Missing, not changed: the process may have been killed before it wrote the checksums.
    for path in (damaged / "opt_state" / "d").iterdir():
        path.unlink()
    # Of the finished stage 1 too: its end is trained again.
    ended = directory / "checkpoints" / "stage1" / f"step_{last_step(directory, 1):08d}"
    for path in (ended / "ema" / "d").iterdir():
        path.unlink()
    process = start("run", "--resume", directory)
    stdout, stderr = process.communicate(timeout=1200)
    assert process.returncode == 0, stderr[-3000:]
    assert f"stage 1: its end is damaged, and is trained again: {ended}" in stdout
    assert "stage 1: continuing at step 32 of 40\n" in stdout
    assert f"stage 2: passed over a damaged checkpoint: {damaged}" in stdout
    assert f"stage 2: continuing at step {int(damaged.name[5:]) - 8} of 40\n" in stdout
    return directory


def last_step(directory, stage):
    return Checkpoints(directory / "checkpoints" / f"stage{stage}", read_only=True).latest()


@pytest.mark.parametrize("stage", [1, 2])
def test_a_killed_run_ends_in_the_same_state(killed_run, stage):
    disturbed, undisturbed = (state_arrays(d, stage) for d in (killed_run, finished_run().directory))
    assert disturbed.keys() == undisturbed.keys()
    for part in ("step", "key", "params", "ema", "opt_state"):
        assert any(name.startswith(f".{part}") for name in disturbed)
    for name, array in undisturbed.items():
        assert disturbed[name].dtype == array.dtype, name
        # Bit for bit: the same program on the same numbers, on the same machine.
        assert disturbed[name].tobytes() == array.tobytes(), name
    # The averaged weights are not the weights: both are compared above.
    emas = [name for name in disturbed if name.startswith(".ema")]
    assert any((disturbed[name] != disturbed[".params" + name[4:]]).any() for name in emas)


def test_a_killed_run_has_the_same_records(killed_run):
    files = [directory / "metrics.jsonl" for directory in (killed_run, finished_run().directory)]
    disturbed, undisturbed = (path.read_text().splitlines() for path in files)
    assert disturbed == undisturbed
    records = [json.loads(line) for line in undisturbed]
    # Intervals end at multiples of log_every = 5 and of checkpoint_every = 8, where a resumed run begins.
    steps = [r["step"] for r in records if r["name"] == "stage1/train/loss"]
    assert steps == sorted({*range(5, 41, 5), *range(8, 41, 8)})


def test_the_best_checkpoint_of_a_killed_run_is_that_of_its_records(killed_run):
    with Run.open(killed_run) as run:
        experiment = Experiment.of(spec_of(run))
        validated = {r.step: r.value for r in run.records() if r.name == "stage2/validation/loss"}
        best, step = restore(run, experiment, 2, "best")
        latest, last = restore(run, experiment, 2)
    assert sorted(validated) == [8, 16, 24, 32, 40]
    assert step == min(validated, key=validated.get)
    assert last == 40
    # It stays beside the two latest.
    kept = {int(path.name[5:]) for path in (killed_run / "checkpoints" / "stage2").glob("step_*")}
    assert kept == {step, 32, 40}
    assert (step == last) == all(
        (a == b).all() for a, b in zip(jax.tree.leaves(best), jax.tree.leaves(latest), strict=True)
    )
    with Run.open(killed_run) as run, pytest.raises(RunError, match=r"stage1\.keep_best names no metric"):
        restore(run, experiment, 1, "best")


def test_a_killed_run_is_told_once_and_whole_to_a_tracker(killed_run):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")
    records = Run.open(killed_run).records()
    pictures = {}
    for stage in ("stage1", "stage2"):
        events = reader.EventAccumulator(str(killed_run / "tensorboard" / stage)).Reload()
        tags = events.Tags()
        told = [(tag, event.step, event.value) for tag in tags["scalars"] for event in events.Scalars(tag)]
        # Event files hold float32.
        mine = [(r.name, r.step, float(np.float32(r.value))) for r in records if r.stage == stage]
        assert sorted(told) == sorted(mine)
        pictures[stage] = tags["images"]
    assert pictures == {"stage1": ["stage1/heldout/examples"], "stage2": ["stage2/samples"]}


def test_names_of_records(killed_run):
    names = {record.name for record in Run.open(killed_run).records()}
    assert names >= {
        "stage1/train/loss",
        "stage1/train/bits_per_pixel",
        "stage2/train/loss",
        "stage1/heldout/bits_per_pixel",
        "stage1/heldout/psnr",
        "stage2/heldout/pca_frechet",
        "stage2/train/conditional_accuracy",
    }


def test_a_finished_run_has_nothing_to_resume(capsys):
    directory = finished_run().directory
    before = (directory / "metrics.jsonl").read_bytes()
    assert main(["run", "--resume", str(directory)]) == 0
    assert f"{directory}: finished already\n" in capsys.readouterr().out
    assert (directory / "metrics.jsonl").read_bytes() == before


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(finished_run().directory, tmp_path / "copy")


@pytest.mark.parametrize(
    ("old", "new"),
    [("steps: 40", "steps: 80"), ("width: 8", "width: 16"), ("seed: 0\n", "seed: 1\n")],
)
def test_a_run_is_not_continued_as_another_experiment(copy, capsys, old, new):
    path = copy / "resolved.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert main(["run", "--resume", str(copy)]) == 2
    assert capsys.readouterr().err == (
        f"{path}: changed since the run was started\n"
        "    start a new run, or undo the change: only what does not touch the weights may differ,"
        " such as name, sample, evaluate, trackers, parallel, log_every and checkpoint_every\n"
    )


def test_what_does_not_define_the_weights_may_be_changed(copy, capsys):
    path = copy / "resolved.yaml"
    path.write_text(path.read_text().replace("log_every: 5", "log_every: 7"))
    assert main(["run", "--resume", str(copy)]) == 0


def test_a_damaged_resolved_spec_is_named(copy, capsys):
    (copy / "resolved.yaml").write_bytes(b"\x00\xff\x00")
    assert main(["run", "--resume", str(copy)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{copy / 'resolved.yaml'}:")
    assert "Traceback" not in error


def test_a_manifest_without_its_entries_is_damaged(copy, capsys):
    (copy / "manifest.json").write_text("{}")
    assert main(["sample", str(copy)]) == 2
    assert capsys.readouterr().err == f"{copy / 'manifest.json'}: damaged: no spec_hash\n"


def test_a_checkpoint_of_other_shapes_is_refused_with_its_leaves(copy):
    other = parse_spec(SPEC.replace("latent_channels: 2", "latent_channels: 4"))
    with Run.open(copy) as run, pytest.raises(CheckpointError) as caught:
        restore(run, Experiment.of(other), 1)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("step_00000040: this checkpoint is of another model or spec:")
    assert f"expected '{spec_hash(other)}'" in lines[1]
    assert any(line.strip().startswith("ema.encoder") and "expected (" in line for line in lines)


def test_a_flipped_bit_is_found(copy, capsys):
    files = (copy / "checkpoints" / "stage1" / "step_00000040" / "ema").rglob("*")
    largest = max((path for path in files if path.is_file()), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    assert main(["evaluate", str(copy), "--stage", "1"]) == 2
    error = capsys.readouterr().err
    assert "damaged" in error
    assert largest.name in error
