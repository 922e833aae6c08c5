"""Where each parameter lives: the spec's rules, or a default that needs none.

The default divides an array's largest axis over `fsdp`, and attention and MLP over `tensor` in the manner of
Shoeybi et al. 1909.08053: the first map by outputs, the second by inputs, so that one sum closes the pair.
Small arrays are whole everywhere. A stack of layers has an axis in front that is never divided: a layer would
else be sent around whole, and by one owner.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ulzoo.errors import InterfaceError
from ulzoo.parallel.mesh import nearest_divisors, replicated
from ulzoo.spec.parallel import ComponentLayout, Parallel, ShardingRule

# Whole path of an array → the axis that `tensor` divides.
_TENSOR = tuple(
    (re.compile(rf"(.*\.)?{path}"), axis)
    for path, axis in (
        (r"attention\.qkv\.(weight|bias)", 0),
        (r"attention\.out\.weight", 1),
        (r"up\.(weight|bias)", 0),
        (r"down\.weight", 1),
    )
)


@dataclass(frozen=True)
class Placed:
    """A parameter and where it lives.

    Attributes:
        path: `decoder.network.middle.blocks.up.weight`.
        stacked: axes in front that count layers.
        axes: for each further axis of the array, the axes of the mesh that divide it.
    """

    path: str
    shape: tuple[int, ...]
    stacked: int
    axes: tuple[tuple[str, ...], ...]

    @property
    def spec(self) -> P:
        # Without None at the end: P("fsdp", None) would be another key of the compiled step than P("fsdp").
        parts = [*((),) * self.stacked, *self.axes]
        while parts and not parts[-1]:
            parts.pop()
        return P(*(None if not part else part[0] if len(part) == 1 else part for part in parts))

    def ways(self, mesh: Mesh | AbstractMesh) -> int:
        """How many parts the parameter is divided into."""
        return math.prod(mesh.shape[axis] for part in self.axes for axis in part)


@dataclass(frozen=True)
class Layout:
    """A mesh and the spec's wishes for it."""

    mesh: Mesh | AbstractMesh
    settings: Parallel = field(default_factory=Parallel)

    def parameters(self, tree: Any, prefix: str = "") -> Any:
        """A sharding for each leaf of `tree`.

        Args:
            tree: modules, or the part of them that has arrays; shapes will do.
            prefix: role that `tree` belongs to; "" if its own fields are roles.

        Raises:
            InterfaceError: no rule matches, or one does not fit an array; the first of such problems.
        """
        placed = []
        for item in self.place(tree, prefix):
            if isinstance(item, InterfaceError):
                raise item
            placed.append(NamedSharding(self.mesh, item.spec))
        return jax.tree.unflatten(jax.tree.structure(tree), placed)

    def place(self, tree: Any, prefix: str = "") -> Iterator[Placed | InterfaceError]:
        """For each leaf of `tree` where it lives, or what is wrong with the rule that says so."""
        for path, leaf, stacked in leaves(tree, prefix):
            try:
                yield self._place(path, tuple(leaf.shape), stacked)
            except InterfaceError as error:
                yield error

    def follow(self, tree: Any, parameters: Any, shardings: Any) -> Any:
        """Shardings for a tree that holds parameters' companions, such as an optimiser's moments.

        A leaf whose path ends with that of a parameter, and that has its shape, lives where the parameter
        does; all else is whole everywhere.
        """
        known: dict[tuple[Any, ...], tuple[tuple[int, ...], Any]] = {
            path: (leaf.shape, sharding)
            for (path, leaf), sharding in zip(
                jax.tree_util.tree_leaves_with_path(parameters), jax.tree.leaves(shardings), strict=True
            )
        }
        whole = replicated(self.mesh)

        def of(path: tuple[Any, ...], leaf: Any) -> Any:
            found = (known.get(path[i:]) for i in range(len(path) + 1))
            shape, sharding = next((pair for pair in found if pair is not None), (None, whole))
            return sharding if shape == leaf.shape else whole

        return jax.tree_util.tree_map_with_path(of, tree)

    def rules_used(self, tree: Any, prefix: str = "") -> set[str]:
        """Paths in the spec, such as `parallel.rules.0`, of the rules that decide on some leaf of `tree`."""
        found = (self._rule(path)[0] for path, _, _ in leaves(tree, prefix))
        return {where for where in found if where is not None}

    def _place(self, path: str, shape: tuple[int, ...], stacked: int) -> Placed:
        where, axes = self._rule(path)
        if axes == "replicated":
            return Placed(path, shape, stacked, ())
        if isinstance(axes, tuple):
            return self._as_told(where or "", path, shape, stacked, axes)
        return Placed(path, shape, stacked, self._default(path, shape[stacked:]))

    def _rule(self, path: str) -> tuple[str | None, Any]:
        """The rule that decides on a parameter, as its place in the spec, and what it says."""
        role, _, inner = path.partition(".")
        own = self._own(role)
        asked: list[tuple[str, ShardingRule, str]] = [
            *((f"parallel.components.{role}.rules.{i}", rule, inner) for i, rule in enumerate(own.rules)),
            *((f"parallel.rules.{i}", rule, path) for i, rule in enumerate(self.settings.rules)),
        ]
        for where, rule, name in asked:
            if re.fullmatch(rule.match, name):
                return where, rule.axes
        if asked:
            last = asked[-1][0].rpartition(".")[0]
            raise InterfaceError(
                f"no rule matches {path}; give one, or end with {{match: '.*', axes: default}}", last
            )
        return None, "default"

    def _own(self, role: str) -> ComponentLayout:
        return dict(self.settings.components).get(role, ComponentLayout())  # type: ignore[call-overload]

    def _as_told(
        self, where: str, path: str, shape: tuple[int, ...], stacked: int, axes: tuple[Any, ...]
    ) -> Placed:
        inner = shape[stacked:]
        layers = f" in each of {'×'.join(map(str, shape[:stacked]))} layers" if stacked else ""
        if len(axes) > len(inner):
            raise InterfaceError(
                f"names {len(axes)} axes, but {path} has shape {inner}{layers}", f"{where}.axes"
            )
        # A mesh without an axis has it with one device: a spec holds on fewer devices too.
        present = [
            tuple(axis for axis in (part if isinstance(part, tuple) else (part,)) if axis in self.mesh.shape)
            for part in axes
        ]
        for i, part in enumerate(present):
            ways = math.prod(self.mesh.shape[axis] for axis in part)
            if inner[i] % ways:
                words = " × ".join(f"mesh.{axis}" for axis in part)
                raise InterfaceError(
                    f"axis {i} of {path}, {inner[i]} long{layers}, is not a multiple of {words} = {ways};"
                    f" nearest that divide it are {nearest_divisors(inner[i], ways)}",
                    f"{where}.axes.{i}",
                )
        return Placed(path, shape, stacked, tuple(present))

    def _default(self, path: str, shape: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
        own = self._own(path.partition(".")[0])
        least = self.settings.replicate_below if own.replicate_below is None else own.replicate_below
        axes: list[tuple[str, ...]] = [()] * len(shape)
        if math.prod(shape) < least:
            return ()
        ways = self.mesh.shape.get("tensor", 1) if own.tensor else 1
        for pattern, axis in _TENSOR if ways > 1 else ():
            if pattern.fullmatch(path) and axis < len(shape) and shape[axis] % ways == 0:
                axes[axis] = ("tensor",)
        ways = self.mesh.shape.get("fsdp", 1) if own.fsdp else 1
        free = [i for i, n in enumerate(shape) if not axes[i] and n % ways == 0]
        if ways > 1 and free:
            axes[max(free, key=lambda i: shape[i])] = ("fsdp",)
        return tuple(axes)


def leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any, int]]:
    """Dotted path, leaf and number of stacked axes of each leaf, in the order of `jax.tree.leaves`.

    A module's class says by an attribute `stacked`, a tuple of names, which of its fields hold the parameters
    of several layers, with an axis for the layers in front.
    """
    found: list[tuple[str, Any, int]] = []

    def enter(node: Any, path: tuple[Any, ...], stacked: int) -> None:
        inner = children(node)
        if inner is None:
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            found.append((".".join(filter(None, (prefix, name))), node, stacked))
            return
        names = getattr(type(node), "stacked", ())
        for key, child in inner:
            enter(child, (*path, *key), stacked + (getattr(key[0], "name", None) in names))

    enter(tree, (), 0)
    return found


def children(node: Any) -> list[tuple[tuple[Any, ...], Any]] | None:
    """Keys and parts of a node of a pytree, one level down; None for a leaf."""
    structure: Any
    inner, structure = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda part: part is not node)
    return None if structure.num_nodes == 1 and inner else inner


def rebuilt(node: Any, change: Callable[[tuple[Any, ...], Any], Any]) -> Any:
    """A node of a pytree with its parts, one level down, changed."""
    inner, structure = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda part: part is not node)
    return jax.tree.unflatten(structure, [change(path, part) for path, part in inner])
