"""A traced function run once more with the largest magnitude of every value in it, in one compiled program.

The jaxpr is evaluated equation by equation while it is traced anew, calls written out and loops of known
length followed into their bodies; beside each floating result its largest magnitude is kept, a number that
is NaN or infinite if any element is. What depends on what is noted on the host, in a `Graph`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from ulzoo.traced import scan_inputs

_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""Parameters under which equations that merely call hold what they call."""
_CALLING = {
    "pjit",
    "jit",
    "closed_call",
    "core_call",
    "remat",
    "remat2",
    "checkpoint",
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vjp_call_jaxpr",
}
_REARRANGING = {"reshape", "transpose", "broadcast_in_dim", "squeeze", "rev", "neg", "abs", "copy"}
"""Of the same magnitude as what they are given."""

Magnitudes = tuple[Any, list[Any]]
"""Of a graph's values, (…, n), and of the graphs of its loops; leading axes are iterations."""


@dataclass
class Value:
    """One floating value of a graph.

    Attributes:
        primitive: what gave it, such as "exp"; "" for an input of the graph.
        scopes: the stack of names around it.
        source: file and line that asked for it, "" if unknown.
        parents: values that it was computed from, by number.
        number: of an input, which one.
        loop: of a result of a loop, the loop, and which result.
    """

    primitive: str
    scopes: str = ""
    source: str = ""
    parents: tuple[int, ...] = ()
    number: int = -1
    loop: tuple[Loop, int] | None = None


@dataclass
class Loop:
    """A loop of known length: its body's graph and how values go in and out.

    Attributes:
        body: inputs are constants, carries and slices, in this order; results carries and slices.
        child: number of the body among the graph's loops.
        operands: values that went in, None for what is not floating.
        results: values of the body that came out.
    """

    body: Graph
    child: int
    constants: int
    carries: int
    length: int
    reverse: bool
    operands: list[int | None]
    results: list[int | None]


@dataclass
class Graph:
    """Values in the order in which they were computed, and what their magnitudes are, while traced."""

    values: list[Value] = field(default_factory=list)
    traced: list[Any] = field(default_factory=list)
    loops: list[Any] = field(default_factory=list)

    def note(self, array: Any, value: Value) -> int | None:
        """The number of a value, None for what has no magnitude."""
        if not jnp.issubdtype(array.dtype, jnp.inexact) or not array.size:
            return None
        self.values.append(value)
        self.traced.append(jnp.max(jnp.abs(array).astype(jnp.float32)))
        return len(self.values) - 1

    def magnitudes(self) -> Magnitudes:
        return jnp.stack(self.traced) if self.traced else jnp.zeros(0), self.loops


def reached(graph: Graph, results: Sequence[int]) -> set[tuple[int, int]]:
    """The values that results were computed from, in loops too, as (id of the graph, number)."""
    # With each value, the loops around it: (outer graph, loop, what is around that).
    todo: list[tuple[Graph, int, Any]] = [(graph, number, None) for number in results]
    seen: set[tuple[int, int]] = set()
    while todo:
        graph, number, around = todo.pop()
        if (id(graph), number) in seen:
            continue
        seen.add((id(graph), number))
        value = graph.values[number]
        if value.loop is not None:
            loop, which = value.loop
            todo += [(loop.body, n, (graph, loop, around)) for n in (loop.results[which],) if n is not None]
        elif not value.primitive and around is not None:
            outer, loop, further = around
            before, carry = loop.operands[value.number], value.number - loop.constants
            todo += [(outer, n, further) for n in (before,) if n is not None]
            if 0 <= carry < loop.carries and loop.results[carry] is not None:
                todo.append((graph, loop.results[carry], around))
        else:
            todo += [(graph, parent, around) for parent in value.parents]
    return seen


Traced = tuple[Any, int | None]
"""A value and its number in the graph."""


def measure(
    closed: core.ClosedJaxpr, arguments: Sequence[Any], wanted: Sequence[bool]
) -> tuple[Graph, Magnitudes, list[int | None]]:
    """Run a jaxpr and measure all that its wanted results depend on.

    Args:
        arguments: flat; inputs of the graph have their numbers, constants follow them.
        wanted: which of the results.

    Returns:
        the graph, the magnitudes on the host, and the numbers of the results.
    """
    kept: list[tuple[Graph, list[int | None]]] = []

    def run(arguments: Sequence[Any], constants: Sequence[Any]) -> Magnitudes:
        graph = Graph()
        inputs = _inputs(graph, [*arguments, *constants])
        count = len(arguments)
        results = _evaluate(closed.jaxpr, inputs[count:], inputs[:count], wanted, graph, "")
        kept.append((graph, [result[1] for result in results]))
        return graph.magnitudes()

    magnitudes = jax.device_get(jax.jit(run)(list(arguments), list(closed.consts)))
    graph, results = kept[-1]
    return graph, magnitudes, results


def _inputs(graph: Graph, arrays: Sequence[Any]) -> list[Traced]:
    return [(array, graph.note(array, Value("", number=number))) for number, array in enumerate(arrays)]


def _evaluate(
    jaxpr: core.Jaxpr,
    constants: Sequence[Traced],
    arguments: Sequence[Traced],
    wanted: Sequence[bool],
    graph: Graph,
    scopes: str,
) -> list[Traced]:
    """The results of a jaxpr; those not wanted are None."""
    known: dict[Any, Traced] = dict(
        zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *arguments), strict=True)
    )

    def read(atom: Any) -> Traced:
        return (atom.val, None) if isinstance(atom, core.Literal) else known[atom]

    for eqn, used in _needed(jaxpr, wanted):
        inputs = [read(atom) for atom in eqn.invars]
        inside = f"{scopes}/{eqn.source_info.name_stack}"
        called = _called(eqn)
        if called is not None:
            inner = [(constant, None) for constant in called.consts]
            results = _evaluate(called.jaxpr, inner, inputs, used, graph, inside)
        elif eqn.primitive.name == "scan":
            results = _loop(eqn, inputs, graph, inside)
        else:
            results = _operation(eqn, inputs, graph, inside)
        known |= dict(zip(eqn.outvars, results, strict=True))
    return [read(atom) if want else (None, None) for atom, want in zip(jaxpr.outvars, wanted, strict=True)]


def _needed(jaxpr: core.Jaxpr, wanted: Sequence[bool]) -> list[tuple[Any, list[bool]]]:
    """The equations that wanted results depend on, in order, and which of their results are used."""
    live = {atom for atom, want in zip(jaxpr.outvars, wanted, strict=True) if want and _is_variable(atom)}
    found = []
    for eqn in reversed(jaxpr.eqns):
        used = [variable in live for variable in eqn.outvars]
        if any(used):
            found.append((eqn, used))
            live |= {atom for atom in eqn.invars if _is_variable(atom)}
    return found[::-1]


def _is_variable(atom: Any) -> bool:
    return not isinstance(atom, core.Literal)


def _called(eqn: Any) -> core.ClosedJaxpr | None:
    if eqn.primitive.name not in _CALLING:
        return None
    inner = next((eqn.params[name] for name in _CALLS if name in eqn.params), None)
    # From JAX 0.12 on both are one class, whose constants must not be lost.
    if inner is None or isinstance(inner, core.ClosedJaxpr):
        return inner
    return core.ClosedJaxpr(inner, ())


def _operation(eqn: Any, inputs: Sequence[Traced], graph: Graph, scopes: str) -> list[Traced]:
    parameters = eqn.primitive.get_bind_params(eqn.params)
    with eqn.ctx.manager:
        outputs = eqn.primitive.bind(*(array for array, _ in inputs), **parameters)
    outputs = outputs if eqn.primitive.multiple_results else [outputs]
    if _keeps_magnitude(eqn):
        return [(outputs[0], inputs[0][1])]
    parents = tuple(number for _, number in inputs if number is not None)
    value = Value(eqn.primitive.name, scopes, _source(eqn), parents)
    return [(array, graph.note(array, value)) for array in outputs]


def _keeps_magnitude(eqn: Any) -> bool:
    name, dtypes = eqn.primitive.name, [atom.aval.dtype for atom in (*eqn.invars[:1], *eqn.outvars)]
    if not all(jnp.issubdtype(dtype, jnp.inexact) for dtype in dtypes) or not eqn.outvars[0].aval.size:
        return False
    widens = name == "convert_element_type" and jnp.promote_types(*dtypes) == dtypes[-1]
    return widens or name in _REARRANGING


def _loop(eqn: Any, inputs: Sequence[Traced], graph: Graph, scopes: str) -> list[Traced]:
    parameters: Mapping[str, Any] = eqn.params
    closed = parameters["jaxpr"]
    constants, carries = scan_inputs(eqn)
    arrays = [array for array, _ in inputs]
    kept: list[tuple[Graph, list[int | None]]] = []

    def body(carry: Any, slices: Any) -> Any:
        inner = Graph()
        everything = _inputs(inner, [*arrays[:constants], *carry, *slices])
        closed_over = [(constant, None) for constant in closed.consts]
        results = _evaluate(
            closed.jaxpr, closed_over, everything, [True] * len(closed.out_avals), inner, scopes
        )
        kept.append((inner, [number for _, number in results]))
        out = [array for array, _ in results]
        return out[:carries], (out[carries:], inner.magnitudes())

    carry, (slices, magnitudes) = jax.lax.scan(
        body,
        arrays[constants : constants + carries],
        arrays[constants + carries :],
        length=parameters["length"],
        reverse=parameters["reverse"],
    )
    inner, results = kept[-1]
    operands = [number for _, number in inputs]
    loop = Loop(
        inner,
        len(graph.loops),
        constants,
        carries,
        parameters["length"],
        parameters["reverse"],
        operands,
        results,
    )
    graph.loops.append(magnitudes)
    parents = tuple(number for number in operands if number is not None)
    source = _source(eqn)
    return [
        (array, graph.note(array, Value("scan", scopes, source, parents, loop=(loop, which))))
        for which, array in enumerate((*carry, *slices))
    ]


def _source(eqn: Any) -> str:
    """The innermost line that is not a library's."""
    traceback = eqn.source_info.traceback
    for frame in traceback.frames if traceback is not None else ():
        path = frame.file_name.replace("\\", "/")
        if not any(part in path for part in _LIBRARIES) and not path.startswith("<"):
            return f"{path}:{frame.line_num}"
    return ""


_LIBRARIES = ("/jax/", "/jaxlib/", "/equinox/", "/optax/", "/jaxtyping/", "/ulzoo/blackbox/", "/functools.py")


def finite(magnitude: Any) -> bool:
    return bool(np.isfinite(magnitude))
