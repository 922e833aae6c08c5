"""A run, part by part: train stage 1, measure it, train stage 2, measure it, draw samples.

Every part that is finished is marked in the run directory; what is not is continued from its latest
checkpoint. `run_all` is what `ulzoo run` calls.
"""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from ulzoo.autoencoder import Autoencoder
from ulzoo.encode_once import check_encode_once
from ulzoo.errors import DamageError, RunError
from ulzoo.evaluation import TrainedEvaluation
from ulzoo.experiment import Experiment, metric_stage
from ulzoo.measuring import Watched
from ulzoo.metrics.base import Record as Measured
from ulzoo.parallel.mesh import device_names
from ulzoo.provenance import new_origins, origins, other_components
from ulzoo.records import Record
from ulzoo.registry import Registry
from ulzoo.restoring import Which, restore
from ulzoo.run import Run
from ulzoo.showing import Say, draw_grid, report_on, show_continued, show_examples
from ulzoo.spec import Spec, dump_yaml, load_spec, spec_hash
from ulzoo.timing import timed
from ulzoo.trackers.opening import open_trackers
from ulzoo.training import replaced_records, train_stage

_FIRST = ("stage1", "evaluate1")
COLLAPSED = 0.05
"""Bits per latent dimension under which a latent holds next to nothing (the paper's runs: 0.3 to 1)."""


def create_run(spec: Spec, out: str | Path | None = None, *, spec_text: str | None = None) -> Run:
    """A new run directory for a spec.

    Args:
        out: where; None: a dated folder under `runs/`.
        spec_text: the file as given; by default the resolved spec.

    Raises:
        RunError: the directory is taken.
    """
    return Run.create(
        out,
        name=spec.name or "run",
        spec_text=dump_yaml(spec) if spec_text is None else spec_text,
        resolved_text=dump_yaml(spec),
        spec_hash=spec_hash(spec),
        components=origins(spec, Registry.discover()),
        devices=device_names(),
        command=sys.argv,
    )


def spec_of(run: Run, changes: dict[str, Any] | None = None, *, note: Say | None = None) -> Spec:
    """The spec that a run was started with.

    Args:
        changes: dotted paths and their new values, such as settings of sampling.
        note: receives a line for each distribution that is another version than when the run was started.

    Raises:
        SpecError: its file cannot be read any more, or a change is wrong.
        RunError: what defines the trained weights was changed since.
    """
    spec = load_spec(run.resolved_path, changes or {})
    started, saved = run.manifest_entry("spec_hash"), run.manifest_entry("components")
    if spec_hash(spec) != started:
        reasons = "".join(f"    {line}\n" for line in other_components(saved, spec))
        raise RunError(
            f"{run.resolved_path}: changed since the run was started\n{reasons}"
            "    start a new run, or undo the change: only what does not touch the weights may differ,"
            " such as name, sample, evaluate, trackers, parallel, log_every and checkpoint_every"
        )
    if note is not None:
        for line in new_origins(saved, spec, Registry.discover()):
            note(line)
    return spec


def parts_of(spec: Spec, stages: Sequence[int] = (1, 2)) -> list[str]:
    """The parts of a run in order, under the names that the run directory marks them by."""
    stages = [stage for stage in stages if stage == 1 or spec.stage2 is not None]
    parts = [part for stage in stages for part in (f"stage{stage}", f"evaluate{stage}")]
    return [*parts, "samples"] if 2 in stages else parts


def run_all(run: Run, experiment: Experiment, *, stages: Sequence[int] = (1, 2), say: Say = print) -> None:
    """Do every part of a run that is not finished.

    Args:
        stages: which stages to train; samples are drawn when stage 2 is among them.
        say: receives a line for each part and each number.

    Raises:
        UlzooError: whatever stops a part; finished parts stay finished.
    """
    if run.writable and not run.tracked:
        run.track(open_trackers(experiment.spec, run.directory))
    # Measuring and drawing share the trained modules, compiled programs and samples.
    evaluations: dict[int, TrainedEvaluation] = {}

    def evaluation(stage: int) -> TrainedEvaluation:
        if stage not in evaluations:
            evaluations[stage] = evaluation_of(run, experiment, stage, quiet=run.follows)
        return evaluations[stage]

    # Read once: other processes of the run must not see a part end that they have not come to.
    finished = run.finished()
    if 2 in stages and "stage2" not in finished:
        check_encode_once(experiment)
    autoencoder: Autoencoder | None = None
    if 2 in stages and "stage1" in finished and "stage2" not in finished:
        autoencoder = _whole_stage1(run, experiment, say)
        if autoencoder is None:
            run.mark_unfinished(*_FIRST)
            finished = tuple(part for part in finished if part not in _FIRST)
    for part in parts_of(experiment.spec, stages):
        if part in finished:
            continue
        stage = int(part[-1]) if part[-1].isdigit() else 2
        if part == f"stage{stage}":
            train_stage(run, experiment, stage, say, autoencoder=autoencoder)
            # Measuring restores its own, and may need the memory.
            autoencoder = None
        else:
            with timed(run, part):
                if part == f"evaluate{stage}":
                    evaluate_stage(run, experiment, evaluation(stage), say, again=True)
                else:
                    draw_grid(run, experiment.spec, evaluation(stage), say)
                if part == "evaluate1":
                    # After an end of stage 1 that was trained again, records of stage 2 may be there already.
                    run.order_by_stage()
        run.mark_finished(part)
    if not run.follows:
        report_on(run, say)


def _whole_stage1(run: Run, experiment: Experiment, say: Say) -> Autoencoder | None:
    """What stage 1 ended with, for stage 2; None if it is damaged, and its end must be trained again."""
    try:
        return cast(Autoencoder, restore(run, experiment, 1)[0])
    except DamageError as error:
        say(f"stage 1: its end is damaged, and is trained again: {error}")
        return None


def evaluate_stage(
    run: Run, experiment: Experiment, evaluation: TrainedEvaluation, say: Say, *, again: bool = False
) -> list[Measured]:
    """Measure the spec's metrics of one stage, print them and add them to the run's records.

    Args:
        evaluation: of the stage.
        again: these may have been measured before, by a process that was then killed: replace such records.
    """
    stage = evaluation.stage
    chosen = [config for config in experiment.spec.evaluate if metric_stage(config) == stage]
    metrics = [config.build(experiment.assembly.data, key=None) for config in chosen]
    asking = [metric for metric in metrics if getattr(metric, "requests", ())]
    # Those that hold their images first: what they have made is there for the others, who ask together, so
    # that each set of images is made and passed over once.
    watched = Watched(evaluation)
    found = {id(metric): watched.measure(metric) for metric in metrics if metric not in asking}
    evaluation.collect([request for metric in asking for request in metric.requests])
    found |= {id(metric): watched.measure(metric) for metric in asking}
    measured: list[Measured] = [record for metric in metrics for record in found[id(metric)]]
    measured += off_target(measured, experiment.spec, evaluation)
    examples = (show_examples if stage == 1 else show_continued)(run, evaluation)
    examples = watched.named(examples, ("heldout",))
    warnings = collapse(measured, evaluation, run.records())
    every = [*measured, *examples, *warnings]
    records = [Record(evaluation.step, f"stage{stage}", **record.as_dict()) for record in every]
    (run.replace if again else run.append)(records)
    measured += warnings
    for record in measured:
        say(describe(record))
    if evaluation.skipped:
        say(replaced_records(evaluation.skipped))
    if warnings:
        say(
            "WARNING: THE LATENT HAS COLLAPSED: it holds next to nothing of the image\n"
            "    raise decoder.weighting.loss_factor or bias, or warm the rate up (stage1.rate_warmup_steps)"
        )
    return measured


def off_target(measured: Sequence[Measured], spec: Spec, evaluation: TrainedEvaluation) -> list[Measured]:
    """A record `…/rate_error`, rate/target − 1, for each rate measured, if the decoder was given a target.

    Training holds its own noisy weights to the target, on training batches; these are the averaged weights.
    """
    target = getattr(getattr(spec.decoder, "weighting", None), "rate_target", None)
    if target is None:
        return []
    nats, found = target.nats(evaluation.pixels), []
    for record in measured:
        if record.name.endswith("/nats"):
            ends = record.interval
            interval = None if ends is None else (ends[0] / nats - 1, ends[1] / nats - 1)
            name = f"{record.name.removesuffix('nats')}rate_error"
            found.append(Measured(name, record.value / nats - 1, "1", record.protocol, interval))
    return found


def collapse(
    measured: Sequence[Measured], evaluation: TrainedEvaluation, records: Sequence[Record]
) -> list[Measured]:
    """A record `…/collapsed`, 1, if a rate says that the latent is as good as empty.

    The rates measured count; without any, stage 1's last one of training (`records` are the run's).
    """
    end = "/bits_per_latent_dim"
    rates = [(r.name.removesuffix(end), r.value, r.protocol) for r in measured if r.name.endswith(end)]
    if evaluation.stage == 1 and not rates:
        trained = [record for record in records if record.name == "stage1/train/bits_per_pixel"]
        share = evaluation.pixels / math.prod(evaluation.latent_shape)
        rates = [("stage1/train", record.value * share, record.protocol) for record in trained[-1:]]
    return [
        Measured(f"{name}/collapsed", 1.0, "1", {**how, "bits_per_latent_dim": rate, "threshold": COLLAPSED})
        for name, rate, how in rates
        if rate < COLLAPSED
    ]


def evaluation_of(
    run: Run, experiment: Experiment, stage: int, *, checkpoint: Which = "latest", quiet: bool = False
) -> TrainedEvaluation:
    """The trained modules of a run, EMA weights, as metrics and commands see them.

    Args:
        checkpoint: of the stage; stage 2 always stands on the latest of stage 1, which it was trained on.

    Raises:
        RunError: the stage has no such checkpoint.
        CheckpointError: a checkpoint is damaged or of another spec.
    """
    spec = experiment.spec
    autoencoder, step = restore(run, experiment, 1, checkpoint if stage == 1 else "latest")
    base = None
    if stage == 2:
        base, step = restore(run, experiment, 2, checkpoint)
    protocol = {
        "spec_hash": spec_hash(spec),
        "data": spec.data.model_dump(mode="json"),
        "ema": experiment.settings(stage).ema,
        "precision": spec.model_dump(mode="json", include={"precision"})["precision"],
        "training_seed": spec.seed,
        "training_steps": step,
        **({} if experiment.assembly.level is None else {"latent": "at the least of its random noise"}),
        # Of this process: what was trained elsewhere is measured here.
        "hardware": f"{platform.machine()}, {', '.join(device_names())}",
    }
    return TrainedEvaluation(
        stage=stage,
        step=step,
        data=spec.data,
        assembly=experiment.assembly,
        autoencoder=autoencoder,
        base=base,
        sample=spec.sample,
        mesh=experiment.mesh,
        protocol=protocol,
        dtype=spec.formats.compute,
        quiet=quiet,
    )


def describe(record: Measured) -> str:
    """One line: name, value, unit, interval, and the word for a rate."""
    interval = f"  [{record.interval[0]:.4g}, {record.interval[1]:.4g}]" if record.interval else ""
    word = f"  ({record.protocol['rate']})" if "rate" in record.protocol else ""
    return f"{record.name} = {record.value:.4g} {record.unit}{interval}{word}"
