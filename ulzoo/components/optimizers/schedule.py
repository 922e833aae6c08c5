"""What the optimisers share: learning-rate schedule, gradient clipping, which parameters decay."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import optax

Decay = Literal["constant", "cosine", "linear"]


def learning_rate_schedule(
    peak: float, warmup_steps: int, decay: Decay, final_fraction: float, steps: int
) -> optax.Schedule:
    """Linear warm-up to `peak`, then `decay` to `final_fraction · peak` at `steps` (optimiser steps)."""
    rest = max(1, steps - warmup_steps)
    after: optax.Schedule
    if decay == "cosine":
        after = optax.cosine_decay_schedule(peak, rest, alpha=final_fraction)
    elif decay == "linear":
        after = optax.linear_schedule(peak, final_fraction * peak, rest)
    else:
        after = optax.constant_schedule(peak)
    if not warmup_steps:
        return after
    # One step past zero, so that the first update is not lost.
    return optax.join_schedules(
        [optax.linear_schedule(peak / warmup_steps, peak, warmup_steps), after], [warmup_steps]
    )


def clipped(
    transformation: optax.GradientTransformation, clip_norm: float | None
) -> optax.GradientTransformation:
    """Clip the global gradient norm first, if asked."""
    return (
        transformation
        if clip_norm is None
        else optax.chain(optax.clip_by_global_norm(clip_norm), transformation)
    )


NO_MATRICES = (
    eqx.nn.LayerNorm,
    eqx.nn.RMSNorm,
    eqx.nn.GroupNorm,
    eqx.nn.BatchNorm,
    eqx.nn.Embedding,
)
"""Modules whose `weight` is a scale, or a table: a row of it that no example asks for would only decay."""


def decays(parameters: Any) -> Any:
    """Mask: True for weight matrices and kernels, False for biases, norms, positions and tables.

    A matrix or kernel is an array of two axes or more that its module calls `weight`. Of a norm it is none,
    whether one of Equinox's or below an attribute with `norm` in its name: stacked over the blocks its scale
    has two axes too.
    """

    def of(path: Any, node: Any) -> Any:
        if isinstance(node, NO_MATRICES):
            return jax.tree.map(lambda _: False, node)
        names = [str(getattr(entry, "name", "")) for entry in path]
        return names[-1:] == ["weight"] and node.ndim > 1 and not any("norm" in name for name in names)

    return jax.tree_util.tree_map_with_path(
        of, parameters, is_leaf=lambda node: isinstance(node, NO_MATRICES)
    )
