"""Compute dtype: parameters stay float32, networks run in the policy's dtype, losses are float32."""

from __future__ import annotations

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

TreeT = TypeVar("TreeT")


def cast(tree: TreeT, dtype: Any) -> TreeT:
    """Floating arrays of a tree in `dtype`; gradients flow back in the original dtype."""

    def of(leaf: Any) -> Any:
        return leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf

    return jax.tree.map(of, tree)


def compute_dtype(module: Any) -> Any:
    """Dtype in which a module computes: that of its first floating array, float32 if it has none."""
    for leaf in jax.tree.leaves(module):
        if eqx.is_inexact_array(leaf) or (hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)):
            return leaf.dtype
    return jnp.float32
