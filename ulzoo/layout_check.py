"""The layout that a spec asks for, held against its parameters and activations; needs none of the devices."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import AbstractMesh

from ulzoo.assemble import Assembly
from ulzoo.errors import InterfaceError, Problem, SpecError
from ulzoo.inspection import inspect
from ulzoo.parallel.activations import MisfitError, constrain, matched
from ulzoo.parallel.layout import Layout, Placed
from ulzoo.parallel.mesh import abstract_mesh
from ulzoo.programs.state import split
from ulzoo.spec import Spec, problem_at


@dataclass(frozen=True)
class Share:
    """How much of a spec's parameters a mesh divides.

    Attributes:
        divided: for `fsdp` and `tensor`, where they have more than one device, the share of all parameters in
            arrays that they divide.
        idle_rules: places in the spec of rules that decide on nothing.
    """

    divided: dict[str, float]
    idle_rules: tuple[str, ...]


def check_layout(spec: Spec, assembly: Assembly) -> None:
    """Raises SpecError for rules that do not fit parameters or activations, or that match nothing.

    An axis of the mesh that takes what is left, -1, counts as 1: how long it is shows on the devices.
    """
    if not _asked(spec):
        return
    layout = Layout(spec_mesh(spec), spec.parallel)
    found: dict[tuple[str, str], list[str]] = {}
    for item in _placed(assembly, layout):
        if isinstance(item, InterfaceError):
            found.setdefault((item.path, item.text), [])
    problems = [problem_at(spec, path, text) for path, text in found]
    problems += _activations(spec, assembly, layout)
    if problems:
        raise SpecError(_first_of_each(problems))


def share(spec: Spec, assembly: Assembly) -> Share | None:
    """What the layout of a spec that is right divides; None where nothing is to be divided."""
    if not _asked(spec):
        return None
    layout = Layout(spec_mesh(spec), spec.parallel)
    placed = [item for item in _placed(assembly, layout) if isinstance(item, Placed)]
    used = {where for role, tree in _parameters(assembly) for where in layout.rules_used(tree, role)}
    given = [f"parallel.rules.{i}" for i in range(len(spec.parallel.rules))]
    for role, own in spec.parallel.components.items():
        given += [f"parallel.components.{role}.rules.{i}" for i in range(len(own.rules))]
    total = sum(map(_size, placed)) or 1
    divided = {
        axis: sum(_size(item) for item in placed if any(axis in part for part in item.axes)) / total
        for axis in ("fsdp", "tensor")
        if layout.mesh.shape.get(axis, 1) > 1
    }
    return Share(divided, tuple(where for where in given if where not in used))


def spec_mesh(spec: Spec) -> AbstractMesh:
    """The mesh that a spec states, without its devices; an axis that takes what is left counts as 1."""
    return abstract_mesh({str(axis): size for axis, size in spec.parallel.mesh.items()})


def _asked(spec: Spec) -> bool:
    """Whether the layout is any other than a copy of everything on every device."""
    settings = spec.parallel
    return bool(
        settings.rules or settings.components or settings.activations or set(settings.mesh) - {"data"}
    )


def _parameters(assembly: Assembly) -> Iterator[tuple[str, Any]]:
    for role in assembly.makers:
        yield role, split(assembly.abstract(role))[0]


def _placed(assembly: Assembly, layout: Layout) -> Iterator[Placed | InterfaceError]:
    for role, tree in _parameters(assembly):
        yield from layout.place(tree, role)


def _size(item: Placed) -> int:
    return math.prod(item.shape)


def _activations(spec: Spec, assembly: Assembly, layout: Layout) -> list[Problem]:
    """Runs every role abstractly, its modules constrained."""
    if not spec.parallel.activations:
        return []
    used = {rule for role in assembly.makers for rule in matched(assembly.abstract(role), layout, role)}
    idle = [
        problem_at(spec, f"parallel.activations.{i}.match", f"no module is called {rule.match!r}, whole path")
        for i, rule in enumerate(spec.parallel.activations)
        if i not in used
    ]

    def constrained(role: str, make: Callable[[Any], Any]) -> Callable[[jax.Array], Any]:
        return lambda key: constrain(make(key), layout, role)

    makers = {role: constrained(role, make) for role, make in assembly.makers.items()}
    try:
        inspect(dataclasses.replace(assembly, makers=makers))
    except MisfitError as misfit:
        return [*idle, problem_at(spec, misfit.error.path, misfit.error.text)]
    return idle


def _first_of_each(problems: list[Problem]) -> list[Problem]:
    """One problem for each place: a rule that fits none of a hundred arrays is one mistake."""
    first: dict[str, Problem] = {}
    count: dict[str, int] = {}
    for problem in problems:
        first.setdefault(problem.path, problem)
        count[problem.path] = count.get(problem.path, 0) + 1
    return [
        problem
        if count[path] == 1
        else dataclasses.replace(problem, fix=(*problem.fix, f"and {count[path] - 1} more like this"))
        for path, problem in first.items()
    ]
