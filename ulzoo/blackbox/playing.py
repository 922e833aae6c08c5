"""A step of a run played again: the state before it, the step itself, and where it ceases to be finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from ulzoo.autoencoder import Autoencoder
from ulzoo.blackbox.naming import named
from ulzoo.blackbox.origin import Origin, first_nonfinite
from ulzoo.checkpoint import Checkpoints
from ulzoo.data.pipeline import Batch, batches
from ulzoo.encode_once import latents_place
from ulzoo.encoding import stage2_data
from ulzoo.errors import DataError, RunError
from ulzoo.experiment import Experiment
from ulzoo.parallel.mesh import put_batch
from ulzoo.programs.program import Program
from ulzoo.programs.state import TrainState
from ulzoo.restoring import checkpoint_manifest, stage_key
from ulzoo.run import Run
from ulzoo.spec import Precision, Spec
from ulzoo.train import train


@dataclass(frozen=True)
class Stage:
    """A stage of a run, with what its steps are functions of.

    Attributes:
        program: of the stage; for stage 2, with `autoencoder` in it.
        autoencoder: stage 1's EMA modules, for stage 2.
    """

    run: Run
    experiment: Experiment
    number: int
    program: Program
    autoencoder: Autoencoder | None

    def batch(self, step: int) -> Batch:
        """What a step is given, with the indices of its records."""
        batch_size, seed = self.experiment.settings(self.number).batch_size, self.experiment.spec.seed
        with batches(self.data, batch_size=batch_size, seed=seed, start_step=step - 1, threads=0) as stream:
            return next(stream)

    @cached_property
    def data(self) -> Any:
        """What the stage reads, as in training: for stage 2 that may be latents that were encoded before."""
        if self.number == 1:
            return self.experiment.training_data(1)
        if self.autoencoder is None:
            raise RunError("stage 2 is played with the autoencoder that it was trained on")
        latents = latents_place(self.run, self.experiment, self.autoencoder)
        return stage2_data(self.experiment.spec, latents, self.autoencoder)

    def start_before(self, step: int) -> int | None:
        """The latest checkpoint from which a step can be reached; None: the beginning."""
        with Checkpoints(self.run.checkpoints(self.number), read_only=True) as checkpoints:
            return max((saved for saved in checkpoints.steps() if saved < step), default=None)

    def state_after(self, step: int, start: int | None) -> TrainState:
        """The state after a step, from a checkpoint of step `start` or from the beginning, step by step."""
        spec, settings = self.experiment.spec, self.experiment.settings(self.number)
        if start is None:
            state = self.program.init(stage_key(spec, self.number))
        else:
            with Checkpoints(self.run.checkpoints(self.number), read_only=True) as checkpoints:
                expect = checkpoint_manifest(spec, self.number)
                state = checkpoints.restore(start, self.program.abstract_state, expect)
        if (start or 0) >= step:
            return state
        first, size = start or 0, settings.batch_size
        with batches(self.data, batch_size=size, seed=spec.seed, start_step=first) as stream:
            return train(self.program, state, stream, steps=step)

    def first_bad(self, step: int, start: int | None) -> tuple[int, TrainState]:
        """The first step up to `step` that is not finite, and the state before it.

        Weights may cease to be finite in a step whose loss and gradient are; then that one is the first.
        """
        state = self.state_after(step - 1, start)
        if all_finite(state.params):
            return step, state
        state, first = self.state_after(start or 0, start), (start or 0) + 1
        while all_finite(state.params):
            state, _ = self.play(state, self.batch(first))
            first += 1
        return first - 1, self.state_after(first - 2, start)

    def play(self, state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, float]]:
        """One step, as training takes it; the state is donated."""
        state, metrics = self.program.step(state, _on_mesh(batch, self.program))
        return state, {name: float(value) for name, value in jax.device_get(metrics).items()}

    def origins(self, state: TrainState, batch: Batch) -> dict[str, Origin | None]:
        """By number format, the run's and float32: where the first value came from that is not finite."""
        spec = self.experiment.spec
        formats = {label(spec): spec.formats, "float32": Precision()}
        return {name: self._explain(state, batch, each) for name, each in formats.items()}

    def _explain(self, state: TrainState, batch: Batch, precision: Precision) -> Origin | None:
        """None if the step is finite."""
        # What a device would multiply in fewer bits than float32 has is multiplied in float32.
        exactly = jax.default_matmul_precision("highest") if precision == Precision() else nullcontext()
        program = _named_program(self.experiment, self.number, self.autoencoder, precision)
        placed = jax.tree.unflatten(jax.tree.structure(program.abstract_state), jax.tree.leaves(state))
        given = _on_mesh(batch, program)

        def results(state: TrainState, batch: Mapping[str, Any]) -> dict[str, Any]:
            after, metrics = program.step(state, batch)
            # In the order of their names, which is that of their explanation.
            return {"loss": metrics["loss"], "norm": metrics["gradient_norm"], "update": after.params}

        with exactly:
            # The loss alone first: without gradient and update there is much less to compile.
            forward = first_nonfinite(results, placed, given, result=lambda name: name == "loss")
            return forward or first_nonfinite(results, placed, given)


def label(spec: Spec) -> str:
    """The number formats of a spec in a word or three."""
    formats = spec.formats
    if formats == Precision(compute=formats.compute):
        return formats.compute
    return f"{formats.compute} (parameters {formats.params}, reduction {formats.reduction})"


def is_bad(metrics: Mapping[str, float], state: TrainState) -> bool:
    """Whether a step was not finite, by its metrics and the state after it."""
    numbers = (metrics["loss"], metrics["gradient_norm"])
    return not all(map(math.isfinite, numbers)) or not all_finite(state.params)


@jax.jit
def _all_finite(tree: Any) -> jax.Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]))


def all_finite(tree: Any) -> bool:
    """Whether all numbers in all arrays of a tree are finite."""
    return bool(_all_finite(tree))


def _on_mesh(batch: Batch, program: Program) -> dict[str, jax.Array]:
    missing = [name for name in program.abstract_batch if name not in batch]
    if missing:
        raise DataError(f"the batches have no entry {missing[0]!r}")
    return put_batch({name: batch[name] for name in program.abstract_batch}, program.mesh)


def _named_program(
    experiment: Experiment, stage: int, autoencoder: Autoencoder | None, precision: Precision
) -> Program:
    """The stage's program, every module of it computing under its own name."""

    def maker(role: str) -> Any:
        make = experiment.assembly.makers[role]
        return lambda key: named(make(key), role)

    assembly = replace(experiment.assembly, makers={role: maker(role) for role in experiment.assembly.makers})
    spec = experiment.spec.model_copy(update={"precision": precision})
    renamed = None if autoencoder is None else named(autoencoder, "")
    return replace(experiment, assembly=assembly, spec=spec).program(stage, renamed)
