"""What a stage has trained so far, and what its checkpoints say of themselves."""

from __future__ import annotations

from typing import Any, Literal

import jax

from ulzoo.checkpoint import Checkpoints
from ulzoo.errors import RunError
from ulzoo.experiment import Experiment
from ulzoo.provenance import trained_components
from ulzoo.retention import Ranking, Retention
from ulzoo.run import Run
from ulzoo.spec import Spec, spec_hash

Which = int | Literal["latest", "best"]
"""A checkpoint: of a step, the latest, or the best by the metric of the stage's `keep_best`."""


def restore(run: Run, experiment: Experiment, stage: int, checkpoint: Which = "latest") -> tuple[Any, int]:
    """A stage's EMA modules, from a checkpoint, and that checkpoint's step.

    Raises:
        RunError: there is none yet, or none that has been ranked.
        CheckpointError: it is damaged or of another spec.
    """
    program = experiment.program(stage)
    with Checkpoints(run.checkpoints(stage), read_only=True) as checkpoints:
        step = _step_of(checkpoints, checkpoint, retention_of(experiment.settings(stage)), stage)
        if step is None:
            raise RunError(
                f"{run.directory}: stage {stage} has no checkpoint yet\n"
                f"    train it with: ulzoo train {run.directory} --stage {stage}"
            )
        expect = checkpoint_manifest(experiment.spec, stage)
        abstract = program.abstract_state
        ema, knobs = (
            checkpoints.restore_part(step, part, getattr(abstract, part), expect) for part in ("ema", "knobs")
        )
    return program.join(ema, knobs), step


def checkpoint_manifest(spec: Spec, stage: int) -> dict[str, Any]:
    """What a checkpoint says of itself, and must say to be restored."""
    components = trained_components(spec)
    return {"spec_hash": spec_hash(spec), "stage": f"stage{stage}", "components": components}


def retention_of(settings: Any) -> Retention:
    """Which checkpoints of a stage stay, by its settings."""
    best = settings.keep_best
    ranking = None if best is None else Ranking(best.metric, best.mode, best.count)
    return Retention(settings.keep, settings.keep_every, ranking)


def _step_of(checkpoints: Checkpoints, which: Which, retention: Retention, stage: int) -> int | None:
    if which != "best":
        return checkpoints.latest() if which == "latest" else which
    ranking = retention.ranking
    if ranking is None:
        raise RunError(f"no checkpoint is the best: stage{stage}.keep_best names no metric")
    best = checkpoints.best(ranking)
    if best is None and checkpoints.steps():
        raise RunError(f"{checkpoints.directory}: no checkpoint has a value of {ranking.metric}")
    return best


def stage_key(spec: Spec, stage: int) -> jax.Array:
    """The key of a stage: parameters and noise."""
    return jax.random.fold_in(jax.random.key(spec.seed), stage)
