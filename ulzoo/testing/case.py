"""One component under test: its configuration, its module, and each computation done once for all checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ulzoo.programs.state import is_array
from ulzoo.registry import Registry
from ulzoo.spec.component import Component
from ulzoo.testing.trees import named

Tree = Any
Shapes = Any
"""A pytree of `jax.ShapeDtypeStruct`."""

# Checks run each program a few times on a handful of numbers: compiling is what takes time.
_QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@dataclass(frozen=True)
class Subject:
    """What the checks of arrays must know of a kind that builds a module.

    Attributes:
        contract: the class that its modules derive from, or several of which they derive from one.
        io: what the module is built for.
        inputs: (configuration, io) → shapes of one example's arguments.
        run: (module, arguments, key, training) → every output that the contract names; with `training` only
            those that are differentiated.
        promised: (configuration, io, outputs' shapes) → the shapes and dtypes that the outputs must have.
            Raises Mismatch where that cannot be said.
        narrow: which arguments programs give in the networks' compute dtype; the others stay float32.
        draws: whether the contract asks for a key even without training.
        keyed: whether `build` draws parameters.
        bounds: (low, high) of what arguments are drawn from, by position; normal where absent.
    """

    contract: type | tuple[type, ...]
    io: Any
    inputs: Callable[[Component, Any], tuple[Shapes, ...]]
    run: Callable[[Any, tuple[Tree, ...], Any, bool], Tree]
    promised: Callable[[Component, Any, Shapes], Shapes]
    narrow: tuple[int, ...] = ()
    draws: bool = False
    keyed: bool = True
    bounds: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass
class Case:
    """A configuration of a kind, and what `check_component` was given with it.

    Attributes:
        folder: holds the files that the example names.
    """

    kind: str
    config: Component
    registry: Registry
    folder: Any = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return str(self.config.type)


class ModuleCase(Case):
    """A case whose `build` gives an Equinox module."""

    def __init__(self, kind: str, config: Component, registry: Registry, subject: Subject, io: Any) -> None:
        super().__init__(kind, config, registry)
        self.subject, self.io = subject, io

    def build(self, key: Any, io: Any = None) -> Any:
        return self.config.build(self.io if io is None else io, key=key)

    def abstract_build(self, io: Any = None) -> Any:
        """The module with shapes in place of arrays, traced anew at each call."""
        return eqx.filter_eval_shape(lambda key: self.build(key, io), jax.random.key(0))

    @cached_property
    def abstract(self) -> Any:
        return self.abstract_build()

    def leaves(self) -> list[tuple[str, Any]]:
        """Leaves of the module by name, as `build` gives them when it is traced."""
        found: list[tuple[str, Any]] = []

        def build(key: Any) -> None:
            found.extend(named(self.build(key)))

        eqx.filter_eval_shape(build, jax.random.key(0))
        return found

    @cached_property
    def built(self) -> tuple[Any, Any, Any]:
        """Modules of two equal keys and of another one, compiled as a program's start is."""
        static = eqx.filter(self.abstract, is_array, inverse=True)
        make = jax.jit(lambda key: eqx.filter(self.build(key), is_array), compiler_options=_QUICK)
        # This generator compiles in a third of the time.
        keys = [jax.random.key(seed, impl="unsafe_rbg") for seed in (0, 0, 1)]
        first, again, other = (eqx.combine(make(key), static) for key in keys)
        return first, again, other

    @cached_property
    def module(self) -> Any:
        """The module with noise on every parameter: what starts at zero would hide most faults."""
        rng = np.random.default_rng(0)

        def moved(leaf: Any) -> Any:
            if not eqx.is_inexact_array(leaf):
                return leaf
            return leaf + jnp.asarray(0.1 * rng.standard_normal(leaf.shape), leaf.dtype)

        return jax.tree.map(moved, self.built[0])

    @cached_property
    def parts(self) -> tuple[Any, Any]:
        """The module's arrays, and the rest of it."""
        return eqx.partition(self.module, is_array)

    def inputs(self, seed: int, batch: int | None = None) -> tuple[Tree, ...]:
        """Arguments drawn at random, for one example or for a batch on a leading axis."""
        rng = np.random.default_rng(seed)
        drawn = []
        for position, shapes in enumerate(self.subject.inputs(self.config, self.io)):
            bounds = self.subject.bounds.get(position)
            drawn.append(jax.tree.map(lambda leaf, b=bounds: _draw(rng, leaf, batch, b), shapes))
        return tuple(drawn)

    def call(self, arrays: Any, inputs: Any, key: Any) -> Any:
        """Every output, without training."""
        return self.subject.run(eqx.combine(arrays, self.parts[1]), inputs, key, False)

    def loss(self, arrays: Any, inputs: Any, key: Any) -> tuple[Any, Any]:
        """A number that depends on all that training differentiates, and the outputs."""
        outputs = self.subject.run(eqx.combine(arrays, self.parts[1]), inputs, key, True)
        parts = [jnp.mean(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(outputs) if _floats(leaf)]
        return sum(parts, jnp.zeros(())), outputs

    @cached_property
    def outputs(self) -> Shapes:
        """Shapes of every output, traced."""
        return eqx.filter_eval_shape(self.call, self.parts[0], self.inputs(1), jax.random.key(1))

    @cached_property
    def single(self) -> Callable[..., Any]:
        return jax.jit(self.call, compiler_options=_QUICK)

    @cached_property
    def batched(self) -> Callable[..., Any]:
        return jax.jit(jax.vmap(self.call, in_axes=(None, 0, 0)), compiler_options=_QUICK)

    @cached_property
    def gradient(self) -> Callable[..., Any]:
        """(trained arrays, the others, float inputs, other inputs, key) → ((loss, outputs), gradients)."""

        def loss(trained: Any, rest: Any, floats: Any, others: Any, key: Any) -> Any:
            return self.loss(eqx.combine(trained, rest), eqx.combine(floats, others), key)

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 2), has_aux=True), compiler_options=_QUICK)

    @cached_property
    def batch(self) -> tuple[Any, Any, Any]:
        """A batch that the devices divide, its keys, and the outputs for it."""
        size = max(2, jax.device_count())
        inputs, keys = self.inputs(1, size), jax.random.split(jax.random.key(1), size)
        return inputs, keys, self.batched(self.parts[0], inputs, keys)

    def trained(self, key: Any) -> tuple[Any, Any]:
        """Outputs and gradients as training has them, for one example."""
        trained, rest = eqx.partition(self.parts[0], eqx.is_inexact_array)
        floats, others = eqx.partition(self.inputs(1), eqx.is_inexact_array)
        (_, outputs), gradients = self.gradient(trained, rest, floats, others, key)
        return outputs, gradients

    def traced(self, *, training: bool = False) -> Any:
        """The program as a jaxpr, traced anew at each call."""
        run = (lambda *args: self.loss(*args)[1]) if training else self.call
        # Without a closure of its own, JAX would give the jaxpr of the first tracing again.
        return jax.make_jaxpr(lambda *args: run(*args))(self.parts[0], self.inputs(1), jax.random.key(1))


def _draw(rng: np.random.Generator, leaf: Any, batch: int | None, bounds: tuple[float, float] | None) -> Any:
    shape = leaf.shape if batch is None else (batch, *leaf.shape)
    if jnp.issubdtype(leaf.dtype, jnp.integer):
        low, high = bounds or (0, 2)
        return jnp.asarray(rng.integers(int(low), int(high), shape), leaf.dtype)
    values = rng.standard_normal(shape) if bounds is None else rng.uniform(*bounds, shape)
    return jnp.asarray(values, leaf.dtype)


def _floats(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)
