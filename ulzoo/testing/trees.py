"""Comparing pytrees of arrays, leaf by named leaf."""

from __future__ import annotations

import re
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ulzoo.testing.mismatch import Mismatch, require

TOLERANCE = 1e-4
"""Of the largest value: float32 rounds by 6e-8, and sums of thousands of terms change their order."""


def near(want: Any, got: Any, what: str) -> None:
    """Raises Mismatch unless two trees of arrays agree up to rounding."""
    for name, one, other in pairs(want, got):
        one, other = (np.asarray(leaf, np.float64) for leaf in (one, other))
        scale = max(1e-6, float(np.abs(one).max(initial=0.0)))
        error = float(np.abs(one - other).max(initial=0.0))
        got_text = f"{name}values that differ by {error:.3g} (largest {scale:.3g})"
        # Not `error > …`: a NaN is a difference.
        require(error <= TOLERANCE * scale, f"{what}{name}".rstrip(": "), got_text)


def program_text(jaxpr: Any) -> str:
    """A jaxpr as text, without the addresses of functions in it."""
    return re.sub(r"0x[0-9a-f]+", "0x", str(jaxpr))


def pairs(want: Any, got: Any) -> list[tuple[str, Any, Any]]:
    """(name, leaf, leaf) of two trees; raises Mismatch if they have other leaves."""
    one, other = named(want), named(got)
    names = [name for name, _ in one], [name for name, _ in other]
    if names[0] != names[1]:
        only = sorted(set(names[0]) ^ set(names[1]))
        raise Mismatch(f"the leaves {names[0]}", f"{names[1]} (not in both: {only})")
    return [(f"{name}: " if name else "", a, b) for (name, a), (_, b) in zip(one, other, strict=True)]


def named(tree: Any) -> list[tuple[str, Any]]:
    return [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def array_shapes(tree: Any) -> Any:
    return eqx.filter(tree, lambda leaf: hasattr(leaf, "shape") and hasattr(leaf, "dtype"))


def same(one: Any, other: Any) -> bool:
    return tuple(one.shape) == tuple(other.shape) and one.dtype == other.dtype


def words(leaf: Any) -> str:
    return f"{leaf.dtype} {tuple(leaf.shape)}"


def first_bad(leaf: Any) -> str:
    values = np.asarray(leaf, np.float64)
    bad = ~np.isfinite(values)
    return f"{values[bad].flat[0]} in {bad.sum()} of {values.size} values" if bad.any() else "finite values"
