"""A run, part by part: train stage 1, measure it, train stage 2, measure it, draw samples.

Every part that is finished is marked in the run directory; what is not is continued from its latest
checkpoint. `run_all` is what `ulzoo run` calls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from ulzoo.assemble import Assembly, assemble
from ulzoo.autoencoder import Autoencoder
from ulzoo.checkpoint import Checkpoints
from ulzoo.data.pipeline import batches
from ulzoo.errors import InterfaceError, RunError, SpecError
from ulzoo.evaluation import TrainedEvaluation
from ulzoo.hooks import MetricLog, save_checkpoints
from ulzoo.images import grid, write_png
from ulzoo.inspection import inspect
from ulzoo.metrics.base import Record as Measured
from ulzoo.parallel.mesh import make_mesh
from ulzoo.programs import stage1 as stage1_program
from ulzoo.programs import stage2 as stage2_program
from ulzoo.programs.program import Program
from ulzoo.programs.stage1 import stage1
from ulzoo.programs.stage2 import stage2
from ulzoo.progress import Progress
from ulzoo.records import Record
from ulzoo.registry import Registry
from ulzoo.run import Run
from ulzoo.spec import Component, Spec, dump_yaml, load_spec, problem_at, spec_hash, uses
from ulzoo.train import train

COLLAPSED = 0.05
"""Bits per latent dimension under which a latent holds next to nothing (the paper's runs: 0.3 to 1)."""


@dataclass(frozen=True)
class Experiment:
    """A checked spec with its assembly and mesh: what every part of a run needs."""

    spec: Spec
    assembly: Assembly
    mesh: Mesh

    @classmethod
    def of(cls, spec: Spec) -> Experiment:
        """Check everything that can be checked before the first FLOP.

        Raises:
            SpecError: roles, metrics, mesh or batch sizes that do not fit, with file and line.
        """
        assembly = assemble(spec)
        inspect(assembly, spec)
        check_metrics(spec, assembly)
        try:
            mesh = make_mesh(spec.parallel.mesh)
            experiment = cls(spec, assembly, mesh)
            experiment.program(1)
        except InterfaceError as error:
            raise SpecError([problem_at(spec, error.path, error.text)]) from error
        return experiment

    def program(self, stage: int, autoencoder: Autoencoder | None = None) -> Program:
        """The program of a stage; stage 2 needs stage 1's modules."""
        spec = self.spec
        if stage == 1:
            return stage1(self.assembly, spec.stage1, mesh=self.mesh, precision=spec.precision)
        if spec.stage2 is None or autoencoder is None:
            raise RunError("the spec has no stage 2")
        return stage2(self.assembly, spec.stage2, autoencoder, mesh=self.mesh, precision=spec.precision)

    def settings(self, stage: int) -> Any:
        settings = self.spec.stage1 if stage == 1 else self.spec.stage2
        if settings is None:
            raise RunError("the spec has no stage 2")
        return settings


def check_metrics(spec: Spec, assembly: Assembly) -> None:
    """Raises SpecError for metrics that this data, or a spec without stage 2, cannot have."""
    problems = []
    for i, config in enumerate(spec.evaluate):
        path = f"evaluate.{i}"
        try:
            config.build(assembly.data, key=None)
        except InterfaceError as error:
            problems.append(problem_at(spec, f"{path}.{error.path}".rstrip("."), error.text))
        if metric_stage(config) == 2 and spec.stage2 is None:
            problems.append(problem_at(spec, path, f"{config.type} measures samples, but the spec has no stage 2"))
    if problems:
        raise SpecError(problems)


def create_run(spec: Spec, out: str | Path | None = None, *, spec_text: str | None = None) -> Run:
    """A new run directory for a spec.

    Args:
        out: where; None: a dated folder under `runs/`.
        spec_text: the file as given; by default the resolved spec.

    Raises:
        RunError: the directory is taken.
    """
    registry = Registry.discover()
    provenance = {use.component.type: registry.provenance(use.kind, use.component).origin for use in uses(spec)}
    return Run.create(
        out,
        name=spec.name or "run",
        spec_text=dump_yaml(spec) if spec_text is None else spec_text,
        resolved_text=dump_yaml(spec),
        spec_hash=spec_hash(spec),
        components=provenance,
        devices=[f"{device.platform}:{device.device_kind}" for device in jax.devices()],
        command=sys.argv,
    )


def spec_of(run: Run) -> Spec:
    """The spec that a run was started with. Raises RunError if its file was changed since."""
    spec = load_spec(run.resolved_path)
    if spec_hash(spec) != run.manifest()["spec_hash"]:
        raise RunError(f"{run.resolved_path}: changed since the run was started; start a new run instead")
    return spec


def run_all(run: Run, spec: Spec, *, stages: Sequence[int] = (1, 2), say: Callable[[str], None] = print) -> None:
    """Do every part of a run that is not finished.

    Args:
        stages: which stages to train; samples are drawn when stage 2 is among them.
        say: receives a line for each part and each number.

    Raises:
        UlzooError: whatever stops a part; finished parts stay finished.
    """
    experiment = Experiment.of(spec)
    wanted = [stage for stage in stages if stage == 1 or spec.stage2 is not None]
    for stage in wanted:
        part = f"stage{stage}"
        if part not in run.finished():
            autoencoder = None if stage == 1 else restore(run, experiment, 1)
            train_stage(run, experiment, stage, autoencoder, say)
            run.mark_finished(part)
        if f"evaluate{stage}" not in run.finished():
            evaluate_stage(run, experiment, stage, say)
            run.mark_finished(f"evaluate{stage}")
    if 2 in wanted and "samples" not in run.finished():
        draw_grid(run, experiment, say)
        run.mark_finished("samples")


def train_stage(
    run: Run, experiment: Experiment, stage: int, autoencoder: Autoencoder | None, say: Callable[[str], None]
) -> None:
    """Train one stage from its latest checkpoint, or from the start, to its end."""
    spec, settings = experiment.spec, experiment.settings(stage)
    program = experiment.program(stage, autoencoder)
    units = (stage1_program if stage == 1 else stage2_program).UNITS
    manifest = checkpoint_manifest(spec, stage)
    with Checkpoints(run.checkpoints(stage)) as checkpoints:
        done = checkpoints.latest()
        if done is None:
            say(f"stage {stage}: compiling, then {settings.steps} steps of {settings.batch_size}")
            state = program.init(stage_key(spec, stage))
            done = 0
        else:
            say(f"stage {stage}: continuing at step {done} of {settings.steps}")
            state = checkpoints.restore(done, program.abstract_state, manifest)
        run.truncate_after(program.name, done)
        with (
            batches(spec.data, batch_size=settings.batch_size, seed=spec.seed, start_step=done) as stream,
            Progress(f"stage {stage}", settings.steps, start=done, images=settings.batch_size) as progress,
        ):
            log = MetricLog(program.name, units, settings.log_every, run.append, progress)
            save = save_checkpoints(checkpoints, manifest)
            hooks = [(1, log), (settings.checkpoint_every or settings.steps, save)]
            train(program, state, stream, steps=settings.steps, hooks=hooks)
            log.close()
            skipped = stream.skipped
        checkpoints.wait()
    if skipped:
        say(f"stage {stage}: {len(skipped)} damaged records were replaced: {', '.join(skipped[:10])}")


def evaluate_stage(
    run: Run, experiment: Experiment, stage: int, say: Callable[[str], None]
) -> list[Measured]:
    """Measure the spec's metrics of one stage on the EMA modules, print them and add them to the run's records."""
    configs = [config for config in experiment.spec.evaluate if metric_stage(config) == stage]
    evaluation = evaluation_of(run, experiment, stage)
    measured: list[Measured] = []
    for config in configs:
        measured += config.build(experiment.assembly.data, key=None)(evaluation)
    steps = experiment.settings(stage).steps
    run.append([Record(steps, f"stage{stage}", **record.as_dict()) for record in measured])
    for record in measured:
        say(describe(record))
    if evaluation.skipped:
        say(f"{len(evaluation.skipped)} damaged records were replaced: {', '.join(evaluation.skipped[:10])}")
    for record in measured:
        if record.name.endswith("/bits_per_latent_dim") and record.value < COLLAPSED:
            say(
                f"WARNING: the latent has collapsed: {record.value:.3g} bits per latent dimension, next to nothing\n"
                "    raise decoder.weighting.loss_factor or bias, or warm the rate up (stage1.rate_warmup_steps)"
            )
    return measured


def evaluation_of(run: Run, experiment: Experiment, stage: int, *, quiet: bool = False) -> TrainedEvaluation:
    """The trained modules of a run, EMA weights, as metrics and commands see them.

    Raises:
        RunError: the stage has no checkpoint yet.
    """
    spec = experiment.spec
    autoencoder = restore(run, experiment, 1)
    base = restore(run, experiment, 2, autoencoder) if stage == 2 else None
    hardware = run.manifest()["hardware"]
    protocol = {
        "spec_hash": spec_hash(spec),
        "data": spec.data.model_dump(mode="json"),
        "ema": experiment.settings(stage).ema,
        "precision": spec.precision,
        "training_seed": spec.seed,
        "hardware": f"{hardware['machine']}, {', '.join(hardware['devices'])}",
    }
    return TrainedEvaluation(
        stage=stage,
        data=spec.data,
        assembly=experiment.assembly,
        autoencoder=autoencoder,
        base=base,
        sample=spec.sample,
        mesh=experiment.mesh,
        protocol=protocol,
        dtype=spec.precision,
        quiet=quiet,
    )


def restore(run: Run, experiment: Experiment, stage: int, autoencoder: Autoencoder | None = None) -> Any:
    """A stage's EMA modules, from its latest checkpoint.

    Raises:
        RunError: there is none yet.
        CheckpointError: it is damaged or of another spec.
    """
    program = experiment.program(stage, autoencoder)
    with Checkpoints(run.checkpoints(stage), read_only=True) as checkpoints:
        step = checkpoints.latest()
        if step is None:
            raise RunError(
                f"{run.directory}: stage {stage} has no checkpoint yet\n"
                f"    train it with: ulzoo train {run.directory} --stage {stage}"
            )
        expect = checkpoint_manifest(experiment.spec, stage)
        abstract = program.abstract_state
        parts = {
            part: checkpoints.restore_part(step, part, getattr(abstract, part), expect) for part in ("ema", "knobs")
        }
    return program.join(parts["ema"], parts["knobs"])


def draw_grid(run: Run, experiment: Experiment, say: Callable[[str], None]) -> Path:
    """The spec's samples as one picture, `samples/grid.png`: one column for each class where there are classes."""
    spec = experiment.spec
    evaluation = evaluation_of(run, experiment, 2)
    images, _, _ = evaluation.samples(spec.sample.count, spec.sample.seed)
    columns = experiment.assembly.data.num_classes
    if columns is None or not 2 <= columns <= 20:
        columns = max(1, round(len(images) ** 0.5))
    path = run.samples / "grid.png"
    write_png(path, grid(images, columns), enlarge=enlargement(images))
    say(f"{len(images)} samples: {path}")
    return path


def enlargement(images: Any) -> int:
    """How many screen pixels an image's pixel gets: small images are enlarged, to about 64."""
    return max(1, round(64 / images.shape[-2]))


def describe(record: Measured) -> str:
    """One line: name, value, unit, interval, and the word for a rate."""
    interval = f"  [{record.interval[0]:.4g}, {record.interval[1]:.4g}]" if record.interval else ""
    word = f"  ({record.protocol['rate']})" if "rate" in record.protocol else ""
    return f"{record.name} = {record.value:.4g} {record.unit}{interval}{word}"


def metric_stage(config: Component) -> int:
    """1 or 2: which stage's modules a metric needs."""
    return int(getattr(config, "stage", 1))


def checkpoint_manifest(spec: Spec, stage: int) -> dict[str, Any]:
    """What a checkpoint says of itself, and must say to be restored."""
    return {"spec_hash": spec_hash(spec), "stage": f"stage{stage}"}


def stage_key(spec: Spec, stage: int) -> jax.Array:
    """The key of a stage: parameters and noise."""
    return jax.random.fold_in(jax.random.key(spec.seed), stage)

