"""Weights out of a run, and a run out of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox as eqx

from ulzoo.checkpoint import Checkpoints
from ulzoo.experiment import Experiment
from ulzoo.export.weights import Weights
from ulzoo.programs.state import split
from ulzoo.restoring import checkpoint_manifest, restore
from ulzoo.run import Run
from ulzoo.spec import spec_hash
from ulzoo.stages import create_run


def weights_of(run: Run, experiment: Experiment) -> Weights:
    """A run's averaged weights: stage 1's, and stage 2's if it has a checkpoint.

    Raises:
        RunError: stage 1 has no checkpoint yet.
        CheckpointError: a checkpoint is damaged or of another spec.
    """
    autoencoder, step = restore(run, experiment, 1)
    steps, base = {"stage1": step}, None
    with Checkpoints(run.checkpoints(2), read_only=True) as checkpoints:
        trained = experiment.spec.stage2 is not None and checkpoints.latest() is not None
    if trained:
        base, steps["stage2"] = restore(run, experiment, 2)
    return Weights(experiment.spec, autoencoder, base, steps)


class _Averaged(eqx.Module):
    """The parts of a training state that weights alone can fill."""

    ema: Any
    knobs: Any


def run_from(weights: Weights, out: str | Path | None = None) -> Path:
    """A run directory to sample, reconstruct and measure from; it cannot be trained further.

    Raises:
        RunError: the directory is taken.
        CheckpointError: it cannot be written.
    """
    with create_run(weights.spec, out) as run:
        for stage, modules in ((1, weights.autoencoder), (2, weights.base)):
            if modules is None:
                continue
            params, knobs, _ = split(modules)
            with Checkpoints(run.checkpoints(stage)) as checkpoints:
                manifest = {**checkpoint_manifest(weights.spec, stage), "imported": spec_hash(weights.spec)}
                checkpoints.save(weights.steps[f"stage{stage}"], _Averaged(params, knobs), manifest)
            run.mark_finished(f"stage{stage}")
        return run.directory
