"""Optimisers: the only kind whose `build` gives no Equinox module."""

from __future__ import annotations

import tempfile
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ulzoo.checkpoint import Checkpoints
from ulzoo.interfaces import OptimizerIO
from ulzoo.registry import Registry
from ulzoo.spec.component import Component
from ulzoo.testing.case import Case
from ulzoo.testing.mismatch import require
from ulzoo.testing.trees import array_shapes, first_bad, named, near, pairs, program_text, same, words


class OptimizerCase(Case):
    """An optimiser and a linear map to train."""

    def __init__(self, config: Component, registry: Registry, io: OptimizerIO) -> None:
        super().__init__("optimizer", config, registry)
        self.io = io
        weight = jnp.asarray(np.random.default_rng(0).standard_normal((4, 3)), jnp.float32)
        linear = eqx.tree_at(lambda module: module.weight, eqx.nn.Linear(3, 4, key=jax.random.key(0)), weight)
        self.params = eqx.filter(linear, eqx.is_array)

    @cached_property
    def transformation(self) -> Any:
        return self.config.build(self.io, key=None)

    @cached_property
    def state(self) -> Any:
        return self.transformation.init(self.params)

    @cached_property
    def gradients(self) -> Any:
        """Of half the squared norm of the parameters."""
        return self.params

    @cached_property
    def update(self) -> Any:
        """(gradients, state, parameters) → (updates, state), compiled."""
        return jax.jit(lambda *args: self.transformation.update(*args))


def contract(case: OptimizerCase) -> None:
    """`build` gives an `optax.GradientTransformation`."""
    got = case.transformation
    require(
        isinstance(got, optax.GradientTransformation), "an optax.GradientTransformation", type(got).__name__
    )


def abstract(case: OptimizerCase) -> None:
    """Its state is the same traced and for real, and keeps its shapes from step to step."""
    traced = jax.eval_shape(case.transformation.init, case.params)
    for name, want, got in pairs(traced, array_shapes(case.state)):
        require(same(want, got), f"the state that it has when traced: {name}{words(want)}", words(got))
    _, after = jax.eval_shape(case.transformation.update, case.gradients, case.state, case.params)
    for name, want, got in pairs(traced, after):
        require(same(want, got), f"a state that keeps its shapes: {name}{words(want)}", words(got))


def jit(case: OptimizerCase) -> None:
    """Tracing it twice gives one program, and its updates are finite, also for gradients of zero."""
    arguments = case.gradients, case.state, case.params
    texts = [
        program_text(jax.make_jaxpr(lambda *args: case.transformation.update(*args))(*arguments))
        for _ in "ab"
    ]
    require(texts[0] == texts[1], "the same program each time it is traced", "another one")
    for what, gradients in (
        ("", case.gradients),
        (" for gradients of zero", jax.tree.map(jnp.zeros_like, case.gradients)),
    ):
        updates, _ = case.update(gradients, case.state, case.params)
        for name, leaf in named(updates):
            require(bool(jnp.isfinite(leaf).all()), f"finite updates of {name}{what}", first_bad(leaf))


def dtypes(case: OptimizerCase) -> None:
    """Updates have the shapes and dtypes of the parameters."""
    updates, _ = case.update(case.gradients, case.state, case.params)
    for name, want, got in pairs(case.params, updates):
        require(same(want, got), f"an update like its parameter: {name}{words(want)}", words(got))


def lowers(case: OptimizerCase) -> None:
    """It goes down a bowl: half the squared norm of the parameters falls."""
    params, state = case.params, case.state
    for _ in range(case.io.steps):
        updates, state = case.update(params, state, params)
        params = optax.apply_updates(params, updates)
    before, after = (float(optax.tree.norm(tree)) for tree in (case.params, params))
    expected = f"{case.io.steps} steps on ½‖p‖² to bring ‖p‖ below {before:.6g}"
    require(after < before, expected, f"{after:.6g}")


def restored(case: OptimizerCase) -> None:
    """After saving and restoring its state the next update is the same."""
    _, state = case.update(case.gradients, case.state, case.params)
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    arrays, static = eqx.partition(state, eqx.is_array)
    target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), arrays)
    if jax.tree.leaves(arrays):
        with (
            tempfile.TemporaryDirectory(prefix="ulzoo-testing-") as folder,
            Checkpoints(folder) as checkpoints,
        ):
            checkpoints.save(1, {"optimizer": arrays}, {"component": case.name})
            checkpoints.wait()
            arrays = checkpoints.restore_part(1, "optimizer", target)
    want, _ = case.update(case.gradients, state, case.params)
    got, _ = case.update(case.gradients, eqx.combine(arrays, static), case.params)
    near(want, got, "equal updates after saving and restoring: ")
