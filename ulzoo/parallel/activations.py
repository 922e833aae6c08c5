"""The spec's wishes for activations: the outputs of modules that it names are divided as it says."""

from __future__ import annotations

import re
from typing import Any

import equinox as eqx
import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ulzoo.errors import InterfaceError
from ulzoo.parallel.layout import Layout, children, rebuilt
from ulzoo.parallel.mesh import nearest_divisors


class MisfitError(Exception):
    """An activation that its rule does not fit: found while a module runs, and told as `error`."""

    def __init__(self, error: InterfaceError) -> None:
        self.error = error
        super().__init__(str(error))


class Constrained(eqx.Module):
    """A module whose output is divided over the mesh; in all else the module."""

    inner: Any
    mesh: Mesh | AbstractMesh = eqx.field(static=True)
    axes: tuple[str | None, ...] = eqx.field(static=True)
    path: str = eqx.field(static=True)
    where: str = eqx.field(static=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        output = self.inner(*args, **kwargs)
        mesh, axes = self.mesh, self.axes
        shape = getattr(output, "shape", None)
        if shape is None or len(axes) > len(shape):
            said = "no array" if shape is None else f"shape {tuple(shape)}"
            raise MisfitError(
                InterfaceError(
                    f"names {len(axes)} axes, but {self.path} gives {said} for an example", self.where
                )
            )
        kept = [axis if axis is not None and axis in mesh.shape else None for axis in axes]
        for i, axis in enumerate(kept):
            if axis is not None and shape[i] % mesh.shape[axis]:
                raise MisfitError(
                    InterfaceError(
                        f"axis {i} of what {self.path} gives, {shape[i]} long, is not a multiple of"
                        f" mesh.{axis} = {mesh.shape[axis]};"
                        f" nearest that divide it are {nearest_divisors(shape[i], mesh.shape[axis])}",
                        f"{self.where}.{i}",
                    )
                )
        if isinstance(mesh, AbstractMesh):
            return output
        # Under vmap the batch's axis is left to the compiler.
        return jax.lax.with_sharding_constraint(output, NamedSharding(mesh, P(*kept)))

    def __getattr__(self, name: str) -> Any:
        if name in ("inner", "mesh", "axes", "path", "where"):
            # While the module is being made.
            raise AttributeError(name)
        return getattr(self.inner, name)


def constrain(modules: Any, layout: Layout, prefix: str = "") -> Any:
    """The modules, those whose output `parallel.activations` names as `Constrained`."""
    if not layout.settings.activations:
        return modules
    return _constrain(modules, layout, prefix, set())


def matched(modules: Any, layout: Layout, prefix: str = "") -> set[int]:
    """Which of `parallel.activations` match a module."""
    found: set[int] = set()
    _constrain(modules, layout, prefix, found)
    return found


def _constrain(modules: Any, layout: Layout, prefix: str, found: set[int]) -> Any:
    rules = layout.settings.activations
    patterns = [re.compile(rule.match) for rule in rules]

    def enter(node: Any, path: tuple[Any, ...]) -> Any:
        if children(node) is None:
            return node
        changed = rebuilt(node, lambda key, part: enter(part, (*path, *key)))
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        name = ".".join(filter(None, (prefix, name)))
        if isinstance(node, eqx.Module) and callable(node):
            rule = next((i for i, pattern in enumerate(patterns) if pattern.fullmatch(name)), None)
            if rule is not None:
                found.add(rule)
                where = f"parallel.activations.{rule}.axes"
                return Constrained(changed, layout.mesh, rules[rule].axes, name, where)
        return changed

    return enter(modules, ())
