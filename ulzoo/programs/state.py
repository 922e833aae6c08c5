"""Training state, and the split of modules into what is trained, what is traced and what is code."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from ulzoo.interfaces import AbstractWeighting


class TrainState(eqx.Module):
    """Everything that a step reads and writes; all of it is donated, saved and restored.

    Attributes:
        step: optimiser steps done.
        key: the stage's key; each step folds its number into it, so a restart draws the same noise.
        params: float32 parameters (the array half of the modules).
        ema: their exponential moving average.
        opt_state: optax's state.
        knobs: loss factors and biases: traced, not trained, so that a controller may move them.
    """

    step: Int[Array, ""]
    key: PRNGKeyArray
    params: Any
    ema: Any
    opt_state: Any
    knobs: Any


def split(modules: Any) -> tuple[Any, Any, Any]:
    """modules → (params, knobs, static); `join` puts them together. Takes arrays and abstract shapes."""

    def trained(node: Any) -> Any:
        if isinstance(node, AbstractWeighting):
            return jax.tree.map(lambda _: False, node)
        return is_array(node) and jnp.issubdtype(node.dtype, jnp.inexact)

    mask = jax.tree.map(trained, modules, is_leaf=lambda node: isinstance(node, AbstractWeighting))
    params, rest = eqx.partition(modules, mask)
    knobs, static = eqx.partition(rest, is_array)
    return params, knobs, static


def join(params: Any, knobs: Any, static: Any) -> Any:
    """The modules that `split` took apart."""
    return eqx.combine(params, knobs, static)


def ema_update(ema: Any, params: Any, decay: float, step: Int[Array, ""]) -> Any:
    """ema ← d·ema + (1 − d)·params; d = min(decay, (1 + step)/(10 + step)), so early steps are forgotten."""
    d = jnp.minimum(decay, (1.0 + step) / (10.0 + step)).astype(jnp.float32)
    return jax.tree.map(lambda old, new: d * old + (1.0 - d) * new.astype(old.dtype), ema, params)


def is_array(leaf: Any) -> bool:
    """Whether a leaf is an array or the shape of one."""
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)
