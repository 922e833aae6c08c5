"""Training one stage of a run, from its latest checkpoint to its end, and restoring what it trained."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ulzoo.checkpoint import Checkpoints
from ulzoo.data.pipeline import Batch, Batches, batches
from ulzoo.errors import RunError, TrainingError
from ulzoo.experiment import Experiment
from ulzoo.hooks import UNFINISHED, MetricLog, save_checkpoints, stop_when_asked
from ulzoo.programs import stage1 as stage1_program
from ulzoo.programs import stage2 as stage2_program
from ulzoo.progress import Progress
from ulzoo.provenance import trained_components
from ulzoo.run import Run
from ulzoo.showing import Say
from ulzoo.spec import Spec, spec_hash
from ulzoo.stopping import grace_seconds, stop_on_signal
from ulzoo.timing import StepClock, timed
from ulzoo.train import Hook, train


def train_stage(
    run: Run,
    experiment: Experiment,
    stage: int,
    say: Say,
    *,
    until: int | None = None,
    watch: Callable[[int, Mapping[str, np.ndarray]], object] | None = None,
) -> None:
    """Train one stage from its latest checkpoint, or from the start, to its end.

    Args:
        until: the step to end with and to save; by default the stage's last.
        watch: is shown the number of each step and its batch, as the host reads it: one step ahead.

    Raises:
        TrainingError: a loss that is not finite; the checkpoints before it stay.
        RunError: stage 2 without a trained stage 1.
        KeyboardInterrupt: a signal asked to stop; the step that it came in is saved.
    """
    spec, settings = experiment.spec, experiment.settings(stage)
    last = settings.steps if until is None else until
    grace = grace_seconds(os.environ)
    autoencoder = restore(run, experiment, 1)[0] if stage == 2 else None
    program = experiment.program(stage, autoencoder)
    units = (stage1_program if stage == 1 else stage2_program).UNITS
    manifest = checkpoint_manifest(spec, stage)
    with Checkpoints(run.checkpoints(stage)) as checkpoints, stop_on_signal(grace) as stop:
        restored = checkpoints.restore_latest(program.abstract_state, manifest)
        if restored is None:
            say(f"stage {stage}: compiling, then {settings.steps} steps of {settings.batch_size}")
            done, state, unfinished = 0, program.init(stage_key(spec, stage)), []
        else:
            done, state, faults = restored
            for fault in faults:
                say(f"stage {stage}: passed over a damaged checkpoint: {fault}")
            say(f"stage {stage}: continuing at step {done} of {settings.steps}")
            unfinished = checkpoints.manifest(done).get(UNFINISHED, [])
        run.truncate_after(program.name, done)
        with (
            batches(
                experiment.data, batch_size=settings.batch_size, seed=spec.seed, start_step=done
            ) as stream,
            Progress(f"stage {stage}", settings.steps, start=done, images=settings.batch_size) as progress,
        ):
            is_bound = experiment.assembly.abstract("prior").is_bound
            log = MetricLog(
                program.name, units, settings.log_every, run.append, progress, is_bound, unfinished
            )
            save = save_checkpoints(checkpoints, manifest, log)
            clock = StepClock(settings.batch_size)
            hooks: list[Hook] = [
                (1, log),
                (settings.checkpoint_every or last, save),
                (1, clock),
                (1, stop_when_asked(stop, checkpoints, manifest, log)),
            ]
            try:
                with timed(run, program.name, clock.facts):
                    train(program, state, _watched(stream, done, watch), steps=last, hooks=hooks)
            except TrainingError as error:
                raise TrainingError(f"{error}\n    {_what_is_left(checkpoints)}") from error
            skipped = stream.skipped
        checkpoints.wait()
    if skipped:
        say(f"stage {stage}: {replaced_records(skipped)}")


def restore(run: Run, experiment: Experiment, stage: int) -> tuple[Any, int]:
    """A stage's EMA modules, from its latest checkpoint, and that checkpoint's step.

    Raises:
        RunError: there is none yet.
        CheckpointError: it is damaged or of another spec.
    """
    program = experiment.program(stage)
    with Checkpoints(run.checkpoints(stage), read_only=True) as checkpoints:
        step = checkpoints.latest()
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


def stage_key(spec: Spec, stage: int) -> jax.Array:
    """The key of a stage: parameters and noise."""
    return jax.random.fold_in(jax.random.key(spec.seed), stage)


def _watched(
    stream: Batches, done: int, watch: Callable[[int, Mapping[str, np.ndarray]], object] | None
) -> Iterator[Batch]:
    for step, batch in enumerate(stream, start=done + 1):
        if watch is not None:
            watch(step, batch)
        yield batch


def _what_is_left(checkpoints: Checkpoints) -> str:
    checkpoints.wait()
    step = checkpoints.latest()
    return (
        "there is no checkpoint from before"
        if step is None
        else f"the last checkpoint, of step {step}, is sound"
    )


def replaced_records(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"{len(names)} damaged record{'s were' if len(names) > 1 else ' was'} replaced: {shown}"
