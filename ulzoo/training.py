"""Training one stage of a run, from its latest checkpoint to its end, and restoring what it trained."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ulzoo.autoencoder import Autoencoder
from ulzoo.blackbox.origin import Origin
from ulzoo.blackbox.playing import Stage
from ulzoo.blackbox.recording import record_failure
from ulzoo.checkpoint import Checkpoints
from ulzoo.damage_log import damage_hook
from ulzoo.data.pipeline import Batch, Batches, batches
from ulzoo.data.same_records import same_records
from ulzoo.encode_once import encode_if_asked
from ulzoo.encoding import check_same_latents, stage2_data, trained_on
from ulzoo.errors import NonFiniteError, TrainingError
from ulzoo.experiment import Experiment
from ulzoo.hooks import UNFINISHED, MetricLog, save_checkpoints, stop_when_asked
from ulzoo.parallel.mesh import local_share
from ulzoo.parallel.processes import AnyAsked, several, wait_for_all
from ulzoo.programs import stage1 as stage1_program
from ulzoo.programs import stage2 as stage2_program
from ulzoo.programs.program import Program
from ulzoo.programs.state import TrainState
from ulzoo.progress import Progress
from ulzoo.restoring import checkpoint_manifest, restore, retention_of, stage_key
from ulzoo.run import Run
from ulzoo.showing import Say
from ulzoo.stopping import grace_seconds, stop_on_signal
from ulzoo.timing import StepClock, timed
from ulzoo.train import Hook, train
from ulzoo.validation import Validation


def train_stage(
    run: Run,
    experiment: Experiment,
    stage: int,
    say: Say,
    *,
    autoencoder: Autoencoder | None = None,
    until: int | None = None,
    watch: Callable[[int, Batch], object] | None = None,
) -> None:
    """Train one stage from its latest checkpoint, or from the start, to its end.

    Args:
        autoencoder: stage 1's EMA modules, for stage 2; restored where they are not given.
        until: the step to end with and to save; by default the stage's last.
        watch: is shown the number of each step and its batch, as the host reads it: one step ahead.

    Raises:
        TrainingError: a loss that is not finite; the checkpoints before it stay, and a black box is written.
        RunError: stage 2 without a trained stage 1.
        KeyboardInterrupt: a signal asked to stop; the step that it came in is saved.
    """
    spec, settings = experiment.spec, experiment.settings(stage)
    last = settings.steps if until is None else until
    grace = grace_seconds(os.environ)
    if stage == 2 and autoencoder is None:
        autoencoder, _ = restore(run, experiment, 1)
    program = experiment.program(stage, autoencoder)
    failure: NonFiniteError | None = None
    units = (stage1_program if stage == 1 else stage2_program).UNITS
    manifest = checkpoint_manifest(spec, stage)
    dataset: Any = experiment.training_data(stage)
    if stage == 2 and autoencoder is not None:
        latents = encode_if_asked(run, experiment, autoencoder, say)
        dataset = stage2_data(spec, latents, autoencoder)
        if latents is not None:
            say(f"stage {stage}: on latents from {latents}")
    retention = retention_of(settings)
    with (
        Checkpoints(run.checkpoints(stage), retention=retention) as checkpoints,
        stop_on_signal(grace) as asked,
    ):
        stop: Any = AnyAsked(asked) if several() else asked
        restored = checkpoints.restore_latest(program.abstract_state, manifest)
        if restored is None:
            say(f"stage {stage}: compiling, then {settings.steps} steps of {settings.batch_size}")
            done, state, saved = 0, program.init(stage_key(spec, stage)), {}
        else:
            done, state, faults = restored
            for fault in faults:
                say(f"stage {stage}: passed over a damaged checkpoint: {fault}")
            say(f"stage {stage}: continuing at step {done} of {settings.steps}")
            saved = checkpoints.manifest(done)
            check_same_latents(saved, dataset)
        unfinished = saved.get(UNFINISHED, [])
        run.truncate_after(program.name, done)
        share = local_share(settings.batch_size, program.mesh)
        with (
            batches(
                dataset,
                batch_size=settings.batch_size,
                seed=spec.seed,
                start_step=done,
                threads=settings.readers,
                workers=settings.workers,
                process_index=share.index,
                process_count=share.count,
            ) as stream,
            Progress(
                f"stage {stage}",
                settings.steps,
                start=done,
                images=settings.batch_size,
                stream=io.StringIO() if run.follows else None,
            ) as progress,
        ):
            # Exact latents may stand in for the records that they are of, and these for them.
            manifest |= trained_on(dataset) or same_records(saved, stream.source, stage)
            is_bound = experiment.assembly.abstract("prior").is_bound
            log = MetricLog(
                program.name, units, settings.log_every, run.append, progress, is_bound, unfinished
            )
            save = save_checkpoints(
                checkpoints, manifest, log, _validation(run, experiment, stage, program, units)
            )
            clock = StepClock(settings.batch_size)
            hooks: list[Hook] = [
                (1, log),
                (settings.checkpoint_every or last, save),
                (1, clock),
                (settings.log_every, damage_hook(stream, program.name, run.records(), run.append)),
                (1, stop_when_asked(stop, checkpoints, manifest, log)),
            ]
            try:
                with timed(run, program.name, clock.facts):
                    train(program, state, _watched(stream, done, watch), steps=last, hooks=hooks)
            except NonFiniteError as error:
                # Without its traceback, whose frames would keep the bad state in the device's memory.
                failure = error.with_traceback(None)
            skipped = stream.skipped
        checkpoints.wait()
    if failure is not None:
        played = Stage(run, experiment, stage, program, autoencoder)
        box = _black_box(played, failure, say)
        if several():
            # None leaves, and so ends the others, while the first one writes.
            wait_for_all("black box")
        told = [str(failure), _what_is_left(run, stage), *box]
        raise TrainingError("\n    ".join(told))
    if skipped:
        say(f"stage {stage}: {replaced_records(skipped)}")


def _validation(
    run: Run, experiment: Experiment, stage: int, program: Program, units: Mapping[str, str]
) -> Callable[[int, TrainState], Mapping[str, float]] | None:
    """What measures held-out batches at a checkpoint and records them; None if nothing is ranked by them."""
    settings = experiment.settings(stage)
    best = settings.keep_best
    if best is None or not best.metric.startswith("validation/"):
        return None
    validation = Validation(program, experiment.data, settings.batch_size, best.batches, experiment.spec.seed)

    def validate(step: int, state: TrainState) -> Mapping[str, float]:
        metrics = validation(state)
        run.append(validation.records(step, metrics, units))
        return metrics

    return validate


def _watched(stream: Batches, done: int, watch: Callable[[int, Batch], object] | None) -> Iterator[Batch]:
    for step, batch in enumerate(stream, start=done + 1):
        if watch is not None:
            watch(step, batch)
        yield batch


def _black_box(stage: Stage, failure: NonFiniteError, say: Say) -> list[str]:
    """Writes it; what to say of it."""
    try:
        box = record_failure(stage, failure, say)
    except OSError as error:
        return [f"its black box cannot be written: {error}"]
    found = [Origin.of(origin) for origin in box.origins.values() if origin is not None]
    lines = [f"first value that is not finite: {line}" for line in found[0].lines()[:1]] if found else []
    lines += [f"black box: {box.folder(stage.run)}" + (f" ({box.fault})" if box.fault else "")]
    lines += [f"play it again with: ulzoo replay {shlex.quote(str(stage.run.directory))}"]
    return lines


def _what_is_left(run: Run, stage: int) -> str:
    with Checkpoints(run.checkpoints(stage), read_only=True) as checkpoints:
        step = checkpoints.latest()
    return (
        "there is no checkpoint from before"
        if step is None
        else f"the last checkpoint, of step {step}, is sound"
    )


def replaced_records(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f"{len(names)} damaged record{'s were' if len(names) > 1 else ' was'} replaced: {shown}"
