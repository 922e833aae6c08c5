"""From a result that is not finite back to the first value that was not, along what depends on what.

Values that are not finite but never reach the result, such as the other side of a `where`, are not met on
the way: only those are followed that the result was computed from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np

from ulzoo.blackbox.magnitudes import Graph, Loop, Magnitudes, Value, finite, measure, reached
from ulzoo.blackbox.naming import place_of


@dataclass(frozen=True)
class Origin:
    """Where a value that is not finite came from.

    Attributes:
        path: dotted path of the module, "" for what is computed in none.
        layer: which block of a stack, or iteration of a loop, from 0; None outside of such.
        direction: "forward" or "backward" (in the gradient); "input" for what was given so.
        operation: the primitive, such as "exp"; of an input, its name.
        value: "nan" or "inf".
        largest_input: the largest magnitude that the operation was given; None without any.
        given_by: where that came from: a path, "" for no module, and a direction.
        source: file and line.
    """

    path: str
    layer: int | None
    direction: str
    operation: str
    value: str
    largest_input: float | None
    given_by: tuple[str, str] | None
    source: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Origin:
        """Inverse of `as_dict`, also through JSON. Raises TypeError for anything else."""
        given_by = data.get("given_by")
        return cls(**{**data, "given_by": None if given_by is None else tuple(given_by)})

    def lines(self) -> list[str]:
        """For people: where, and by what."""
        if self.direction == "input":
            return [f"{self.operation} is {self.value} before the step"]
        layer = "" if self.layer is None else f", layer {self.layer}"
        where = f"{self.path}{layer}, {_WAYS[self.direction]}" if self.path else _NOWHERE
        given = "" if self.largest_input is None else f" of finite values up to {self.largest_input:.4g}"
        if self.given_by is not None and self.given_by[0] not in ("", self.path):
            given += f", from {self.given_by[0]}, {_WAYS[self.given_by[1]]},"
        source = f"  ({self.source})" if self.source else ""
        return [where, f"{self.operation}{given} is {self.value}{source}"]


_WAYS = {"forward": "in the forward pass", "backward": "in the gradient", "input": "before the step"}
_NOWHERE = "in no module: the stage's own loss, norm of the gradient or update"


def first_nonfinite(
    function: Callable[..., Any],
    *arguments: Any,
    result: Callable[[str], bool] = lambda name: True,
    loss: str = "loss",
) -> Origin | None:
    """Where the first value came from that made a result of a function NaN or infinite; None if none is.

    The modules among the arguments may be `named`, so that the origin has a path.

    Args:
        function: of pytrees of arrays; compiled once more, in full.
        result: chooses results by dotted name, such as `1.loss`; of several that are not finite, the first
            is explained.
        loss: name of the result whose computation is the forward pass; what else there is, is the gradient.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*arguments)
    names = _names(shape)
    flat = jax.tree.leaves(arguments)
    # Of `0.params.decoder.w` without the number of the argument.
    inputs = [
        *(name.partition(".")[2] or name for name in _names(arguments)),
        *(["a frozen weight"] * len(closed.consts)),
    ]
    graph, magnitudes, numbers = measure(closed, flat, [result(name) for name in names])
    start = _Frame(graph, magnitudes, (), None, None)
    for number in numbers:
        if number is not None and not finite(start.magnitude(number)):
            frame, first = _walk(start, number)
            losses = [n for n, name in zip(numbers, names, strict=True) if name == loss and n is not None]
            forward = (id(frame.graph), first) in reached(graph, losses) if losses else True
            return _origin(frame, first, inputs, forward)
    return None


def _names(tree: Any) -> list[str]:
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]


@dataclass(frozen=True)
class _Frame:
    """A graph at one iteration of the loops around it."""

    graph: Graph
    magnitudes: Magnitudes
    at: tuple[int, ...]
    outer: _Frame | None
    loop: Loop | None

    def magnitude(self, number: int) -> float:
        return float(np.asarray(self.magnitudes[0])[(*self.at, number)])


def _walk(frame: _Frame, number: int) -> tuple[_Frame, int]:
    """The frame and the value at which the way back ends."""
    while True:
        value = frame.graph.values[number]
        if value.loop is not None:
            inside = _into(frame, *value.loop)
            if inside is not None:
                frame, number = inside
                continue
        if not value.primitive:
            outside = _out_of(frame, value.number)
            if outside is None:
                return frame, number
            frame, number = outside
            continue
        bad = [parent for parent in value.parents if not finite(frame.magnitude(parent))]
        if not bad:
            return frame, number
        # A NaN is not made of an infinity that is there on purpose while another NaN goes in.
        no_numbers = [parent for parent in bad if np.isnan(frame.magnitude(parent))]
        number = min(no_numbers or bad)


def _into(frame: _Frame, loop: Loop, which: int) -> tuple[_Frame, int] | None:
    """Inside the loop: of a carry the last iteration, of slices the first that is not finite."""
    number = loop.results[which]
    if number is None or not loop.length:
        return None
    order = range(loop.length)[::-1] if loop.reverse else range(loop.length)
    frames = [_Frame(loop.body, frame.magnitudes[1][loop.child], (*frame.at, i), frame, loop) for i in order]
    if which < loop.carries:
        return frames[-1], number
    return next(((each, number) for each in frames if not finite(each.magnitude(number))), None)


def _out_of(frame: _Frame, which: int) -> tuple[_Frame, int] | None:
    """From an input of a body to the iteration before, or to what went into the loop."""
    loop, outer = frame.loop, frame.outer
    if loop is None or outer is None:
        return None
    carry = which - loop.constants
    before = frame.at[-1] + (1 if loop.reverse else -1)
    if 0 <= carry < loop.carries and 0 <= before < loop.length:
        number = loop.results[carry]
        previous = _Frame(frame.graph, frame.magnitudes, (*outer.at, before), outer, loop)
        return None if number is None else (previous, number)
    number = loop.operands[which]
    return None if number is None else (outer, number)


def _origin(frame: _Frame, number: int, inputs: Sequence[str], forward: bool) -> Origin:
    value = frame.graph.values[number]
    word = "nan" if np.isnan(frame.magnitude(number)) else "inf"
    if not value.primitive:
        return Origin("", None, "input", inputs[value.number], word, None, None, "")
    path, layer, direction = _place(value)
    if not forward:
        direction = "backward"
    if frame.at:
        layer = frame.at[-1]
    largest = max(value.parents, key=frame.magnitude, default=None)
    magnitude = None if largest is None else frame.magnitude(largest)
    given_by = None
    if largest is not None and frame.graph.values[largest].primitive:
        giver, _, way = _place(frame.graph.values[largest])
        given_by = (giver, way)
    return Origin(path, layer, direction, value.primitive, word, magnitude, given_by, value.source)


def _place(value: Value) -> tuple[str, int | None, str]:
    """Path, layer and direction."""
    return *place_of(value.scopes), "backward" if "transpose(" in value.scopes else "forward"
