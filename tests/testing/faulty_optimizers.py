"""Faulty optimisers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from faults import component


def moves(updates: Any, init: Any = lambda params: optax.EmptyState()):
    """An optimiser from a function of (gradients, state)."""
    return optax.GradientTransformation(init, lambda grads, state, params=None: updates(grads, state))


def scaled(factor: float):
    return lambda grads, state: (jax.tree.map(lambda g: factor * g, grads), state)


def unit(grads, state):
    return jax.tree.map(lambda g: -0.1 * g / jnp.sqrt(jnp.square(g).sum()), grads), state


component("optimizer", "contract", "expected an optax.GradientTransformation, got int", lambda io, key: 3)
component(
    "optimizer", "lowers", "expected 20 steps on ½‖p‖² to bring ‖p‖ below", lambda io, key: moves(scaled(0.1))
)
component(
    "optimizer", "jit", "expected finite updates of weight for gradients of zero", lambda io, key: moves(unit)
)
component(
    "optimizer",
    "dtypes",
    "expected an update like its parameter: weight: float32 (4, 3), got bfloat16 (4, 3)",
    lambda io, key: moves(
        lambda grads, state: (jax.tree.map(lambda g: -0.1 * g.astype(jnp.bfloat16), grads), state)
    ),
)
component(
    "optimizer",
    "abstract",
    "expected a state that keeps its shapes: int32 (), got float32 ()",
    lambda io, key: moves(lambda grads, state: (grads, state + 0.5), lambda params: jnp.zeros((), jnp.int32)),
)


class Memory:
    """An optimiser's step size that is in no state."""

    def __init__(self):
        self.calls = 0

    def update(self, grads, state, params=None):
        def more(g):
            self.calls += 1
            return np.asarray(-0.01 * self.calls * g, np.float32)

        shapes = jax.tree.map(lambda g: jax.ShapeDtypeStruct(g.shape, g.dtype), grads)
        updates = jax.pure_callback(lambda grads: jax.tree.map(more, grads), shapes, grads)
        return updates, state


component(
    "optimizer",
    "restored",
    "expected equal updates after saving and restoring",
    lambda io, key: optax.GradientTransformation(lambda params: optax.EmptyState(), Memory().update),
)
