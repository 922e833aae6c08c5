"""Writing a black box, by the process whose training stopped."""

from __future__ import annotations

import shutil
from typing import Any

import jax
import numpy as np

from ulzoo.blackbox.box import BlackBox
from ulzoo.blackbox.playing import Stage, label
from ulzoo.checkpoint import Checkpoints
from ulzoo.data.pipeline import fingerprint
from ulzoo.errors import NonFiniteError
from ulzoo.restoring import checkpoint_manifest, stage_key
from ulzoo.showing import Say
from ulzoo.spec import spec_hash


def record_failure(stage: Stage, error: NonFiniteError, say: Say) -> BlackBox:
    """Write what is known at once; then play the steps since the last checkpoint again, to know the rest.

    What goes wrong on the way is noted in the box: it must not hide why training stopped.

    Raises:
        OSError: not even the facts could be written.
    """
    experiment, run = stage.experiment, stage.run
    start = stage.start_before(error.step)
    key = stage_key(experiment.spec, stage.number)
    box = BlackBox(
        stage=stage.number,
        step=error.step,
        noticed=error.step,
        metrics=error.metrics,
        policy=experiment.settings(stage.number).nonfinite,
        precision=label(experiment.spec),
        spec_hash=spec_hash(experiment.spec),
        device=f"{jax.device_count()} × {jax.devices()[0].device_kind} ({jax.default_backend()})",
        key={
            "data": np.asarray(jax.random.key_data(key)).tolist(),
            "generator": str(jax.random.key_impl(key)),
        },
        start=start,
        fault="the process ended before the step was played again",
    )
    if jax.process_index() == 0 and box.folder(run).exists():
        # Of an earlier attempt, from the same checkpoint to the same step.
        shutil.rmtree(box.folder(run))
    if jax.process_count() > 1:
        # All processes would have to take the steps again together; later, one alone can take them.
        reason = "there were several processes; `ulzoo replay` plays the step again in one"
        return box.write(run, fault=reason) if jax.process_index() == 0 else box
    box = box.write(run)
    again = error.step - 1 - (start or 0)
    if again:
        say(f"stage {stage.number}: {again} steps again, to the state before step {error.step}")
    try:
        return _play_again(stage, box)
    except Exception as fault:
        reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
        return box.write(run, fault=f"playing the step again failed: {reason}")


def _play_again(stage: Stage, box: BlackBox) -> BlackBox:
    run, experiment = stage.run, stage.experiment
    step, state = stage.first_bad(box.step, box.start)
    batch = stage.batch(step)
    if step != box.step:
        shutil.rmtree(box.folder(run))
    facts: dict[str, Any] = {"records": tuple(batch["index"].tolist()), "content": fingerprint(batch)}
    manifest = checkpoint_manifest(experiment.spec, stage.number)
    # One after the other: what is known first does not wait for what is compiled long.
    box = box.write(run, step=step, **facts)
    with Checkpoints(box.states(run)) as checkpoints:
        checkpoints.save(step - 1, state, {**manifest, "step": step - 1})
    box = box.write(run, state=True)
    found = stage.origins(state, batch)
    origins = {name: None if origin is None else origin.as_dict() for name, origin in found.items()}
    return box.write(run, origins=origins, fault="")
