"""Modules from shapes, and programs as text: what the tests of components share."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.extend.core as jex
import numpy as np


def abstract(config, io):
    """The module with shapes in place of arrays."""
    return eqx.filter_eval_shape(lambda key: config.build(io, key=key), jax.random.key(0))


def filled(module, seed=0, scale=0.2):
    """A module (or its shapes) with every float array drawn anew, so that nothing is zero or one.

    Drawn by NumPy: initialising a network for real would compile for longer than the test runs.
    """
    rng = np.random.default_rng(seed)

    def of(leaf):
        if not (isinstance(leaf, jax.ShapeDtypeStruct) or eqx.is_inexact_array(leaf)):
            return leaf
        return jax.numpy.asarray(scale * rng.standard_normal(leaf.shape), leaf.dtype)

    return jax.tree.map(of, module)


def shapes(tree):
    """Shapes and dtypes of all array leaves, with their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path): (leaf.shape, leaf.dtype)
        for path, leaf in leaves
        if hasattr(leaf, "shape")
    }


def equations(program: jex.Jaxpr) -> int:
    """Number of equations of a jaxpr, those of the programs inside it included: what a compiler must read."""
    count = 0
    for equation in program.eqns:
        count += 1
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda v: isinstance(v, jex.Jaxpr | jex.ClosedJaxpr)
        ):
            if isinstance(value, jex.ClosedJaxpr):
                count += equations(value.jaxpr)
            elif isinstance(value, jex.Jaxpr):
                count += equations(value)
    return count
