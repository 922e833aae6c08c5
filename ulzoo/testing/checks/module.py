"""What every Equinox module promises: shapes, tracing, batching, gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ulzoo.testing.case import ModuleCase
from ulzoo.testing.mismatch import require
from ulzoo.testing.trees import array_shapes, first_bad, named, near, pairs, program_text, same, words


def contract(case: ModuleCase) -> None:
    """`build` gives a module of the kind's contract, whose arrays are JAX arrays."""
    module = case.built[0]
    contracts = case.subject.contract
    contracts = contracts if isinstance(contracts, tuple) else (contracts,)
    wanted = " or ".join(contract.__name__ for contract in contracts)
    require(isinstance(module, contracts), f"an ulzoo.interfaces.{wanted}", type(module).__name__)
    for name, leaf in case.leaves():
        foreign = isinstance(leaf, np.ndarray | np.generic)
        got = f"{name} of NumPy's {type(leaf).__name__}"
        require(not foreign, "its arrays to be JAX arrays: no others are trained, placed and saved", got)


def shapes(case: ModuleCase) -> None:
    """Every output has the shape that the contract promises for the data at hand."""
    promised = case.subject.promised(case.config, case.io, case.outputs)
    for name, want, got in pairs(promised, case.outputs):
        require(got.shape == want.shape, f"{name}shape {want.shape}", got.shape)


def abstract(case: ModuleCase) -> None:
    """Built and run abstractly, it has the arrays and outputs that it has for real."""
    expected = "the arrays that it has when traced: "
    for name, want, got in pairs(array_shapes(case.abstract), array_shapes(case.built[0])):
        require(same(want, got), f"{expected}{name}{words(want)}", words(got))
    concrete = case.single(case.parts[0], case.inputs(1), jax.random.key(1))
    for name, want, got in pairs(case.outputs, concrete):
        require(same(want, got), f"the output that it has when traced: {name}{words(want)}", words(got))


def jit(case: ModuleCase) -> None:
    """It can be compiled, tracing it twice gives one program, and its outputs are finite."""
    one, other = case.traced(), case.traced()
    require(
        program_text(one) == program_text(other), "the same program each time it is traced", "another one"
    )
    for first, second in zip(one.consts, other.consts, strict=True):
        same = np.array_equal(np.asarray(first), np.asarray(second))
        require(same, "the same program each time it is traced", "other constants in it")
    outputs = case.single(case.parts[0], case.inputs(1), jax.random.key(1))
    for name, leaf in named(outputs):
        require(np.isfinite(np.asarray(leaf)).all(), f"finite {name or 'values'}", first_bad(leaf))


def vmap(case: ModuleCase) -> None:
    """A batch by `jax.vmap` gives what its examples give one by one."""
    inputs, keys, outputs = case.batch
    for index in range(2):
        one = jax.tree.map(lambda leaf, i=index: leaf[i], inputs)
        alone = case.single(case.parts[0], one, keys[index])
        among = jax.tree.map(lambda leaf, i=index: leaf[i], outputs)
        near(alone, among, f"example {index} of a batch to give what it gives alone: ")


def gradients(case: ModuleCase) -> None:
    """Gradients with respect to parameters and inputs are finite."""
    _, found = case.trained(jax.random.key(1))
    for part, tree in zip(("the parameter ", "the input "), found, strict=True):
        for name, leaf in named(tree):
            good = bool(jnp.isfinite(leaf).all())
            require(good, f"a finite gradient of {part}{name}".rstrip(), first_bad(leaf))
