"""Whether a stage that is continued by a new process ends as one that was never stopped, and how far off.

What is compared is on disk: the checkpoints that two run directories end with, and the batches read.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ulzoo.checkpoint import Checkpoints
from ulzoo.data.pipeline import Batch, fingerprint
from ulzoo.errors import RunError
from ulzoo.experiment import Experiment
from ulzoo.leaf_table import named_leaves, part_of
from ulzoo.restoring import checkpoint_manifest, stage_key
from ulzoo.run import Run
from ulzoo.spec import Spec, spec_hash
from ulzoo.stages import create_run, spec_of
from ulzoo.training import train_stage

PARTS = {
    "params": "weights",
    "ema": "EMA",
    "opt_state": "optimiser",
    "knobs": "knobs",
    "key": "random key",
    "step": "step",
}
"""Fields of a training state in the words of the certificate; any other is called what it is."""


@dataclass(frozen=True)
class Comparison:
    """One part of the two ends.

    Attributes:
        name: such as "weights".
        count: arrays in it, or batches.
        differences: one line for each array or batch that differs, the largest difference first.
    """

    name: str
    count: int
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Certificate:
    """What was compared, where, and what came out."""

    stage: int
    steps: int
    spec_hash: str
    device: str
    parts: tuple[Comparison, ...]

    @property
    def exact(self) -> bool:
        return not any(part.differences for part in self.parts)

    def lines(self) -> list[str]:
        """For people: a heading, a line for each part, and the verdict."""
        half = self.steps // 2
        head = (
            f"stage {self.stage}: {self.steps} steps against {half} and {self.steps - half} in a new process"
        )
        lines = [f"{head}; spec {self.spec_hash[:12]}, {self.device}"]
        for part in self.parts:
            of = "batches" if part.name == "data" else "arrays"
            equal = f"{part.count - len(part.differences)} of {part.count} {of} equal bit for bit"
            lines.append(f"    {part.name:<10}  {equal}")
            lines += [f"        {line}" for line in part.differences[:3]]
        return [*lines, f"stage {self.stage}: resuming is {'exact' if self.exact else 'NOT exact'}"]


def verify_resume(spec: Spec, stage: int, steps: int) -> Certificate:
    """Train the first `steps` steps of a stage twice: in one go, and with a restart in a new process halfway.

    All is done by the machinery of a run, in a temporary folder: data are read ahead, checkpoints saved in
    the background. Stage 2 is trained on the latents of an autoencoder that is not.

    Raises:
        RunError: fewer than 2 steps, or more than the stage has; or the new process failed.
    """
    experiment = Experiment.of(spec)
    available = experiment.settings(stage).steps
    if not 2 <= steps <= available:
        raise RunError(f"--steps must be from 2 to {available}, the steps of stage {stage}; got {steps}")
    with tempfile.TemporaryDirectory(prefix="ulzoo-verify-resume-") as name:
        straight, restarted = Path(name) / "straight", Path(name) / "restarted"
        with create_run(spec, straight) as run:
            if stage == 2:
                _save_untrained(run, experiment)
        shutil.copytree(straight, restarted)
        _train(straight, experiment, stage, steps)
        _train(restarted, experiment, stage, steps // 2)
        _in_a_new_process(restarted, stage, steps)
        states = [_final_state(directory, experiment, stage, steps) for directory in (straight, restarted)]
        batches = [_batches_read(directory) for directory in (straight, restarted)]
    device = f"{jax.device_count()} × {jax.devices()[0].device_kind} ({jax.default_backend()})"
    return Certificate(
        stage, steps, spec_hash(spec), device, (*compare_states(*states), compare_batches(*batches))
    )


def compare_states(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> list[Comparison]:
    """Named arrays of two states, by part; both have the same names, shapes and dtypes."""
    comparisons = []
    for part in dict.fromkeys([*PARTS, *map(part_of, expected)]):
        words = PARTS.get(part, part)
        names = [name for name in expected if part_of(name) == part]
        distances = {name: _distance(expected[name], found[name]) for name in names}
        # NaN, where only one of the two is no number, is the largest.
        different = sorted((n for n in names if distances[n] != 0), key=lambda n: -_sortable(distances[n]))
        told = tuple(f"{name}: up to {distances[name]:g} ulp" for name in different)
        comparisons.append(Comparison(words, len(names), told))
    return comparisons


def compare_batches(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Comparison:
    """Which records each step was given, and what was in them after their augmentation."""
    different = []
    for step in sorted({*expected, *found}, key=int):
        (ids, content), (other_ids, other_content) = (
            batches.get(step, (None, None)) for batches in (expected, found)
        )
        if ids != other_ids:
            different.append(f"step {step}: other records")
        elif content != other_content:
            different.append(f"step {step}: the same records with other content")
    return Comparison("data", len({*expected, *found}), tuple(different))


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest distance in units in the last place; for whole numbers, of the numbers; NaN beside a number."""
    if a.tobytes() == b.tobytes():
        return 0.0
    if not jnp.issubdtype(a.dtype, jnp.floating):
        return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
    nan = np.isnan(a.astype(np.float64)) != np.isnan(b.astype(np.float64))
    return float("nan") if nan.any() else float(np.abs(_ordered(a) - _ordered(b)).max())


def _ordered(array: np.ndarray) -> np.ndarray:
    """Floats as whole numbers in the same order, neighbours one apart; −0 is below 0: their bits differ."""
    bits = array.view(f"i{array.dtype.itemsize}").astype(object if array.dtype.itemsize == 8 else np.int64)
    return np.where(bits < 0, -(1 << (8 * array.dtype.itemsize - 1)) - bits - 1, bits)


def _sortable(distance: float) -> float:
    return float("inf") if np.isnan(distance) else distance


def _train(directory: Path, experiment: Experiment, stage: int, until: int) -> None:
    """As `ulzoo run` would, up to a step; notes the batches beside the run's files."""
    read: dict[int, tuple[list[int], int]] = {}

    def watch(step: int, batch: Batch) -> None:
        read[step] = (batch["index"].tolist(), fingerprint(batch))

    with Run.open(directory, write=True) as run:
        train_stage(run, experiment, stage, lambda line: None, until=until, watch=watch)
    # The stream is one batch ahead of the steps.
    text = json.dumps({step: what for step, what in read.items() if step <= until})
    (directory / f"batches-{until:08d}.json").write_text(text)


def _in_a_new_process(directory: Path, stage: int, until: int) -> None:
    command = [sys.executable, "-m", "ulzoo.resume_check", str(directory), str(stage), str(until)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RunError(
            f"the process that should continue ended with {done.returncode}:\n{done.stderr[-3000:]}"
        )


def _save_untrained(run: Run, experiment: Experiment) -> None:
    state = experiment.program(1).init(stage_key(experiment.spec, 1))
    with Checkpoints(run.checkpoints(1)) as checkpoints:
        checkpoints.save(0, state, checkpoint_manifest(experiment.spec, 1))


def _final_state(directory: Path, experiment: Experiment, stage: int, step: int) -> dict[str, np.ndarray]:
    abstract = experiment.program(stage).abstract_state
    with Checkpoints(Run.open(directory).checkpoints(stage), read_only=True) as checkpoints:
        state = checkpoints.restore(step, abstract, checkpoint_manifest(experiment.spec, stage))
    return {name: _host(leaf) for name, leaf in named_leaves(state).items()}


def _host(leaf: jax.Array) -> np.ndarray:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def _batches_read(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(directory.glob("batches-*.json")):
        found |= json.loads(path.read_text())
    return found


def _continue(arguments: Iterable[str]) -> None:
    directory, stage, until = arguments
    _train(Path(directory), Experiment.of(spec_of(Run.open(directory))), int(stage), int(until))


if __name__ == "__main__":
    _continue(sys.argv[1:])
