"""Peak memory of a function's temporaries, estimated from its trace: nothing is compiled or allocated.

A model of what a compiler does with the program in the order it is written: matrix products, convolutions,
reductions, loops and the like write their results to memory; arithmetic on elements between them is fused
into whoever reads it and costs nothing, unless a product reads it (it must then lie in memory) or it is dear
to compute twice. A value is freed after its last reader. Not modelled: other orders, padding of layouts,
workspaces of kernels, fragmentation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.extend.core as jex

from ulzoo.traced import scan_inputs

_VIEWS = frozenset(
    {"reshape", "squeeze", "expand_dims", "transpose", "stop_gradient", "sharding_constraint", "name"}
)
"""The same values in another shape or order: whoever reads them reads the original."""
# fmt: off
_CHEAP = frozenset((
    "abs", "add", "add_any", "and", "broadcast_in_dim", "ceil", "clamp", "convert_element_type",
    "copy", "copy_p", "eq", "floor", "ge", "gt", "integer_pow", "iota", "is_finite", "le", "lt",
    "max", "min", "mul", "ne", "neg", "not", "or", "pvary", "reduce_precision", "round", "select_n",
    "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "square", "sub", "xor",
))
"""Arithmetic on elements that a compiler rather repeats than stores."""
_DEAR = frozenset((
    "acos", "asin", "atan", "atan2", "cbrt", "cos", "cosh", "div", "erf", "erf_inv", "erfc", "exp",
    "exp2", "expm1", "log", "log1p", "logistic", "nextafter", "pow", "rem", "rsqrt", "sin", "sinh",
    "sqrt", "tan", "tanh",
))
# fmt: on
"""Arithmetic on elements that is stored where it is read more than once."""
_OWN_LOOPS = frozenset({"scan", "while", "cond"})


@dataclass(frozen=True)
class _Operation:
    name: str
    reads: tuple[Any, ...]
    writes: tuple[tuple[Any, int], ...]
    inner: int = 0


def peak_temporaries(program: jex.Jaxpr, *, outputs: bool = True) -> int:
    """Bytes of the values that a program makes and that are alive at once, at most.

    Args:
        program: its inputs and constants are not counted: they are the caller's.
        outputs: whether its results need memory of their own; False where they take that of donated inputs.
    """
    operations: list[_Operation] = []
    names: dict[Any, Any] = {}
    _flatten(program, names, operations)
    results = {_named(names, variable) for variable in program.outvars} - {None}
    return _peak(operations, results, outputs)


def _flatten(program: jex.Jaxpr, names: dict[Any, Any], into: list[_Operation]) -> None:
    """Equations in order, those of nested calls in their place; loops stay one operation."""
    for equation in program.eqns:
        name = equation.primitive.name
        given = [_named(names, variable) for variable in equation.invars]
        nested = [] if name in _OWN_LOOPS else _nested(equation.params.values())
        if len(nested) == 1 and len(nested[0].invars) == len(equation.invars):
            inner = nested[0]
            renamed = dict(zip(inner.invars, given, strict=True))
            _flatten(inner, renamed, into)
            for outer, result in zip(equation.outvars, inner.outvars, strict=True):
                names[outer] = _named(renamed, result)
            continue
        # Traces of one function are shared: the same variable may be written twice, so each gets a name.
        writes = []
        for variable in equation.outvars:
            names[variable] = object()
            writes.append((names[variable], _size(variable)))
        reads = tuple(read for read in given if read is not None)
        into.append(_Operation(name, reads, tuple(writes), _inner_peak(equation)))


def _inner_peak(equation: jex.JaxprEqn) -> int:
    """What a loop needs beside its operands and results while it runs."""
    params = equation.params
    match equation.primitive.name:
        case "scan":
            body = params["jaxpr"].jaxpr
            slices = body.invars[sum(scan_inputs(equation)) :]
            return peak_temporaries(body) + sum(map(_size, slices))
        case "while":
            return max(peak_temporaries(params[part].jaxpr) for part in ("cond_jaxpr", "body_jaxpr"))
        case "cond":
            return max(peak_temporaries(branch.jaxpr, outputs=False) for branch in params["branches"])
    return 0


def _peak(operations: Sequence[_Operation], results: set[Any], outputs: bool) -> int:
    stored = _stored(operations, results)
    sizes = {write: size for operation in operations for write, size in operation.writes}
    # Where a value really lies: in itself if it is stored, else in what it is computed from.
    sources: dict[Any, frozenset[Any]] = {}
    end = len(operations)
    last: dict[Any, int] = {}
    for at, operation in enumerate(operations):
        origin = frozenset().union(*(sources.get(read, frozenset()) for read in operation.reads))
        for write, _ in operation.writes:
            sources[write] = frozenset({write}) if write in stored else origin
        if any(write in stored for write, _ in operation.writes):
            for source in origin:
                last[source] = at
    for result in results:
        for source in sources.get(result, frozenset()):
            last[source] = end
    free = set() if outputs else results
    freed: dict[int, int] = {}
    for source, at in last.items():
        if source not in free:
            freed[at] = freed.get(at, 0) + sizes[source]
    alive = highest = 0
    for at, operation in enumerate(operations):
        made = sum(size for write, size in operation.writes if write in stored and write not in free)
        highest = max(highest, alive + made + operation.inner)
        unread = sum(
            size for write, size in operation.writes if write in stored and write not in free | last.keys()
        )
        alive += made - unread - freed.get(at, 0)
    return highest


def _stored(operations: Sequence[_Operation], results: set[Any]) -> set[Any]:
    """Values that are written to memory."""
    readers: dict[Any, int] = {}
    needed = set(results)
    stored = set()
    # From the end, so that what reads a view is known when what is viewed is met.
    for operation in reversed(operations):
        fused = operation.name in _CHEAP or operation.name in _DEAR
        for write, size in operation.writes:
            if operation.name in _VIEWS:
                if write in needed:
                    needed.update(operation.reads)
                for read in operation.reads:
                    readers[read] = readers.get(read, 0) + readers.get(write, 0)
                continue
            shared = operation.name in _DEAR and readers.get(write, 0) > 1
            if size and (not fused or write in needed or shared):
                stored.add(write)
        if operation.name in _VIEWS:
            continue
        for read in operation.reads:
            readers[read] = readers.get(read, 0) + 1
            # Reductions compute what they reduce; products and loops read it from memory.
            if not fused and not operation.name.startswith(("reduce", "arg")):
                needed.add(read)
    return stored


def _nested(params: Iterable[Any]) -> list[jex.Jaxpr]:
    found = []
    for value in params:
        if isinstance(value, jex.ClosedJaxpr):
            found.append(value.jaxpr)
        elif isinstance(value, jex.Jaxpr):
            found.append(value)
    return found


def _named(names: dict[Any, Any], variable: Any) -> Any:
    """What stands for a variable in the flat program; None for a number written into it."""
    return None if isinstance(variable, jex.Literal) else names.get(variable, variable)


def _size(variable: Any) -> int:
    aval = variable.aval
    shape, dtype = getattr(aval, "shape", ()), getattr(aval, "dtype", None)
    if dtype is None:
        return 0
    # A PRNG key is two words.
    width = 8 if jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) else dtype.itemsize
    return math.prod(shape) * int(width)
