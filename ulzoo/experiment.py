"""A spec that was checked as far as can be without a FLOP, with what every part of a run needs of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, cast

import equinox as eqx
import jax
from jax.sharding import Mesh

from ulzoo.assemble import Assembly, assemble
from ulzoo.autoencoder import Autoencoder
from ulzoo.data.source import Dataset
from ulzoo.errors import InterfaceError, Problem, RunError, SpecError
from ulzoo.inspection import RoleReport, inspect
from ulzoo.interfaces import DataIO
from ulzoo.layout_check import check_layout, spec_mesh
from ulzoo.parallel.mesh import check_batch, make_mesh
from ulzoo.programs.program import Program
from ulzoo.programs.single_stage import check_sampled
from ulzoo.programs.stage1 import UNITS as STAGE1_UNITS
from ulzoo.programs.stage1 import stage1
from ulzoo.programs.stage2 import UNITS as STAGE2_UNITS
from ulzoo.programs.stage2 import stage2
from ulzoo.programs.starts import MOST_VALUES
from ulzoo.rules import check_silence
from ulzoo.spec import Component, Spec, problem_at


@dataclass(frozen=True)
class Experiment:
    """A spec, its assembly and its mesh. Programs are made once: each costs a tracing of its modules."""

    spec: Spec
    assembly: Assembly
    mesh: Mesh
    reports: tuple[RoleReport, ...] = ()

    @classmethod
    def of(cls, spec: Spec) -> Experiment:
        """Check a spec on the devices that are here.

        Raises:
            SpecError: roles, metrics, guidance, mesh or batch sizes that do not fit, with file and line.
        """
        assembly, reports = check_fit(spec)
        try:
            mesh = make_mesh({str(axis): size for axis, size in spec.parallel.mesh.items()})
        except InterfaceError as error:
            raise SpecError([problem_at(spec, error.path, error.text)]) from error
        experiment = cls(spec, assembly, mesh, tuple(reports))
        stages: tuple[Callable[[], object], ...] = (lambda: experiment.program(1),)
        if spec.stage2 is not None:
            stages = (*stages, lambda: experiment.program(2))
        found = _problems(spec, stages)
        if found:
            raise SpecError(found)
        return experiment

    @property
    def data(self) -> Dataset:
        """The spec's dataset, as what it offers beside its fields."""
        return cast(Dataset, self.spec.data)

    def training_data(self, stage: int) -> Dataset:
        """What a stage trains on."""
        other = self.spec.stage1.data if stage == 1 else None
        return self.data if other is None else cast(Dataset, other)

    def program(self, stage: int, autoencoder: Autoencoder | None = None) -> Program:
        """The program of a stage.

        Args:
            autoencoder: stage 1's EMA modules, for stage 2; without them its program has shapes and can be
                restored into, not run.

        Raises:
            RunError: stage 2 of a spec without one.
            InterfaceError: the mesh does not divide the batch.
        """
        if stage == 1:
            return self._stage1
        return self._stage2 if autoencoder is None else self._second(autoencoder)

    def settings(self, stage: int) -> Any:
        """`stage1` or `stage2` of the spec. Raises RunError for stage 2 of a spec without one."""
        settings = self.spec.stage1 if stage == 1 else self.spec.stage2
        if settings is None:
            raise RunError("the spec has no stage 2")
        return settings

    @cached_property
    def _stage1(self) -> Program:
        spec, assembly = self.spec, self.assembly
        if spec.stage1.data is not None:
            # Labels have no part in stage 1, and other data may have none, or others.
            assembly = replace(assembly, data=DataIO(assembly.data.shape, None))
        return stage1(assembly, spec.stage1, mesh=self.mesh, precision=spec.formats, parallel=spec.parallel)

    @cached_property
    def _stage2(self) -> Program:
        return self._second(eqx.filter_eval_shape(self.assembly.autoencoder, jax.random.key(0)))

    def _second(self, autoencoder: Autoencoder) -> Program:
        settings, spec = self.settings(2), self.spec
        return stage2(
            self.assembly,
            settings,
            autoencoder,
            mesh=self.mesh,
            precision=spec.formats,
            parallel=spec.parallel,
        )


def check_fit(spec: Spec) -> tuple[Assembly, list[RoleReport]]:
    """All that can be known of a spec without the devices that it will run on.

    Raises:
        SpecError: with every problem found.
    """
    assembly = assemble(spec)
    reports: list[RoleReport] = []
    found = _problems(
        spec,
        (
            lambda: reports.extend(inspect(assembly, spec)),
            lambda: check_training_data(spec, assembly),
            lambda: check_metrics(spec, assembly),
            lambda: check_guidance(spec),
            lambda: check_starts(spec, assembly),
            lambda: check_batches(spec),
            lambda: check_layout(spec, assembly),
            lambda: check_ranking(spec),
            lambda: check_silence(spec),
        ),
    )
    if found:
        raise SpecError(found)
    return assembly, reports


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
            problems.append(
                problem_at(spec, path, f"{config.type} measures samples, but the spec has no stage 2")
            )
        if getattr(config, "samples_prior", False):
            try:
                check_sampled(assembly.abstract("prior"))
            except InterfaceError as error:
                problems.append(problem_at(spec, path, f"prior: {error.text}"))
        if getattr(config, "predicts", False) and not conditioned_on_frames(spec):
            text = f"{config.type} predicts frames, but no conditioner of the base model is given any"
            fix = ["add {type: ulzoo.given_frames.v1} to base_model.conditioners"]
            problems.append(problem_at(spec, path, text, fix))
        if getattr(config, "of_classes", False) and spec.base_model is not None and not takes_labels(spec):
            text = f"{config.type} asks for classes, but no conditioner tells the base model any"
            fix = ["add {type: ulzoo.class_label.v1} to base_model.conditioners"]
            problems.append(problem_at(spec, path, text, fix))
    if problems:
        raise SpecError(problems)


def check_training_data(spec: Spec, assembly: Assembly) -> None:
    """Raises SpecError for other data of stage 1 whose examples have another shape than the spec's."""
    if spec.stage1.data is None:
        return
    shape = cast(Dataset, spec.stage1.data).io().shape
    if shape != assembly.data.shape:
        text = f"examples are {shape}, but those of data are {assembly.data.shape}"
        raise SpecError([problem_at(spec, "stage1.data", text)])


def conditioned_on_frames(spec: Spec) -> bool:
    """Whether the base model is declared to go on from given frames."""
    conditioners = getattr(spec.base_model, "conditioners", None) or ()
    return any(getattr(each, "gives_frames", False) for each in conditioners)


def takes_labels(spec: Spec) -> bool:
    """Whether the base model may be told classes; assumed of those that say nothing of conditioners."""
    conditioners = getattr(spec.base_model, "conditioners", None)
    return conditioners is None or not all(getattr(each, "gives_frames", False) for each in conditioners)


def check_starts(spec: Spec, assembly: Assembly) -> None:
    """Raises SpecError for latents of more values than Sobol sequences have dimensions."""
    values = math.prod(assembly.latent_shape)
    if spec.sample.starts == "sobol" and values > MOST_VALUES:
        text = f"a latent of {values} values is too large for a Sobol sequence, of at most {MOST_VALUES}"
        raise SpecError([problem_at(spec, "sample.starts", text, ["leave starts at independent"])])


def check_guidance(spec: Spec) -> None:
    """Guidance mixes the model with itself without its condition, which it must have met in training.

    Base models say what they are conditioned on in a field `conditioners`, conditioners how often they are
    left out in a field `dropout`; of others nothing is known and nothing is said.

    Raises:
        SpecError: guidance that could do nothing, or nothing good.
    """
    scale, path = spec.sample.guidance.scale, "sample.guidance.scale"
    conditioners = getattr(spec.base_model, "conditioners", None)
    if scale == 1.0 or spec.base_model is None or conditioners is None:
        return
    if not conditioners:
        text = f"{scale:g} guides an unconditional model; it has nothing to be guided by"
        raise SpecError(
            [problem_at(spec, path, text, ["give base_model.conditioners, or leave guidance at 1"])]
        )
    never = [i for i, config in enumerate(conditioners) if getattr(config, "dropout", None) == 0]
    if never:
        place = f"base_model.conditioners.{never[0]}.dropout"
        text = f"{scale:g} needs a model that also learns without its condition, but {place} is 0"
        raise SpecError([problem_at(spec, path, text, [f"raise {place}, or leave guidance at 1"])])


def check_batches(spec: Spec) -> None:
    """Raises SpecError for batches that a mesh of stated size cannot divide; −1 is known on the devices."""
    mesh = spec_mesh(spec)
    stages = {"stage1": spec.stage1, "stage2": spec.stage2}
    checks = tuple(
        partial(check_batch, stage.batch_size, mesh, f"{name}.batch_size", stage.accumulate)
        for name, stage in stages.items()
        if stage is not None
    )
    found = _problems(spec, checks)
    if found:
        raise SpecError(found)


_STILLS = ("still_bits_per_pixel",)
"""Held-out records have no images beside clips."""
_NOT_RANKED = ("gradient_norm", "rate_weight", "skipped_steps", "loss_factor", "bias", "rate_error", *_STILLS)


def check_ranking(spec: Spec) -> None:
    """Raises SpecError for a `keep_best` whose metric the stage does not have."""
    problems = []
    for name, stage, units in (("stage1", spec.stage1, STAGE1_UNITS), ("stage2", spec.stage2, STAGE2_UNITS)):
        best = None if stage is None else stage.keep_best
        known = sorted(set(units) - set(_NOT_RANKED))
        if best is not None and best.metric.partition("/")[2] not in known:
            shown = [f"train/ or validation/ and one of {', '.join(known)}"]
            text = f"{name} has no metric {best.metric!r}"
            problems.append(problem_at(spec, f"{name}.keep_best.metric", text, shown))
    if problems:
        raise SpecError(problems)


def metric_stage(config: Component) -> int:
    """1 or 2: which stage's modules a metric needs."""
    return int(getattr(config, "stage", 1))


def _problems(spec: Spec, checks: tuple[Callable[[], object], ...]) -> list[Problem]:
    """What all of the checks find, not the first one's findings alone."""
    found: list[Problem] = []
    for check in checks:
        try:
            check()
        except SpecError as error:
            found += error.problems
        except InterfaceError as error:
            found.append(problem_at(spec, error.path, error.text))
    return found
