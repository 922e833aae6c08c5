"""Communication of a compiled program, read from its text (HLO): operations between devices, their bytes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

KINDS = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
_WIDTHS = {"pred": 1, "bf16": 2, "c64": 8, "c128": 16}
_NARROW = re.compile(r"[suf](\d+)(?:e\d+m\d+\w*)?")
_HEAD = re.compile(r"^(ENTRY\s+)?%?([\w.\-]+)\s*(?:\([^=]*)?->.*\{\s*$|^(ENTRY\s+)?%?([\w.\-]+)\s*\{\s*$")
_OPERATION = re.compile(r"^\s*(?:ROOT\s+)?%?[\w.\-]+ = (.+?) ([a-z][\w\-]*)\(")
_ARRAY = re.compile(r"\b([a-z]+\d*(?:e\d+m\d+\w*)?)\[([\d,]*)\]")
_CALLED = re.compile(
    r"\b(body|condition|calls|to_apply|called_computations|branch_computations)=(\{[^}]*\}|%?[\w.\-]+)"
)
# Places in long tuples: `(s32[], …, /*index=5*/f32[8])`.
_COMMENT = re.compile(r"/\*.*?\*/")
_CONSTANT = re.compile(r"^\s*%?([\w.\-]+) = s(?:32|64)\[\]\S* constant\((\d+)\)")
_BELOW = re.compile(r"^\s*ROOT .* compare\(.*[ ,]%?([\w.\-]+)\), direction=LT")
_CONDITION = re.compile(r"\bcondition=%?([\w.\-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


@dataclass(frozen=True)
class Collective:
    """Operations of one kind in a step.

    Attributes:
        count: how often they run in a step, on each device.
        bytes: of their results on one device, all together.
        written: how many stand in the program's text; a loop's stand there once.
    """

    kind: str
    count: int
    bytes: int
    written: int


@dataclass(frozen=True)
class _Called:
    """`condition`: of a loop's body, the computation that ends it, where the loop does not say how often."""

    name: str
    times: int
    condition: str | None = None


@dataclass
class _Computation:
    found: list[tuple[str, int]]
    calls: list[_Called]
    constants: dict[str, int]
    below: str | None = None
    """The constant that the result says something is less than."""

    @property
    def rounds(self) -> int | None:
        """Of a loop that this is the condition of."""
        return None if self.below is None else self.constants.get(self.below)


def collectives(text: str) -> list[Collective]:
    """Collectives of an HLO module's text (`compiled.as_text()`), by kind.

    A loop counts as often as the compiler says that it runs; where it says nothing, as the TPU's does not,
    and the loop ends at a constant, as often as a scan does that counts up to it from 0; else once. An
    asynchronous pair counts once. Of a branch every side counts.

    Raises:
        ValueError: the text has no entry computation.
    """
    computations, entry = _parse(text)
    if entry is None:
        raise ValueError("not the text of an HLO module: it has no ENTRY")
    count: dict[str, int] = {}
    size: dict[str, int] = {}
    for name, times in _runs(computations, entry).items():
        for kind, nbytes in computations[name].found:
            count[kind] = count.get(kind, 0) + times
            size[kind] = size.get(kind, 0) + times * nbytes
    written: dict[str, int] = {}
    for computation in computations.values():
        for kind, _ in computation.found:
            written[kind] = written.get(kind, 0) + 1
    return [Collective(kind, count[kind], size[kind], written[kind]) for kind in KINDS if kind in count]


def shape_bytes(shape: str) -> int:
    """Bytes of an HLO shape such as `(f32[8,128]{1,0}, bf16[4])`, layouts and padding left out."""
    return sum(_array_bytes(*match.groups()) for match in _ARRAY.finditer(shape))


def _parse(text: str) -> tuple[dict[str, _Computation], str | None]:
    computations: dict[str, _Computation] = {}
    entry = None
    current: _Computation | None = None
    for line in _COMMENT.sub("", text).splitlines():
        head = None if line.startswith((" ", "\t", "HloModule")) else _HEAD.match(line)
        if head is not None:
            name = head[2] or head[4]
            current = computations[name] = _Computation([], [], {})
            if head[1] or head[3]:
                entry = name
            continue
        operation = _OPERATION.match(line)
        if current is None or operation is None:
            continue
        if constant := _CONSTANT.match(line):
            current.constants[constant[1]] = int(constant[2])
        if below := _BELOW.match(line):
            current.below = below[1]
        shape, name = operation.groups()
        kind, _, phase = name.rpartition("-") if name.endswith(("-start", "-done")) else (name, "", "")
        if kind in KINDS and phase != "done":
            current.found.append((kind, _result_bytes(shape, kind, phase)))
        current.calls += _calls(line, name)
    return computations, entry


def _calls(line: str, name: str) -> Iterator[_Called]:
    trips = _TRIPS.search(line)
    for kind, names in _CALLED.findall(line):
        # What a reduction applies to two numbers is no place for communication.
        if kind == "to_apply" and name != "call":
            continue
        body = name == "while" and kind == "body"
        times = int(trips[1]) if trips and body else 1
        condition = _CONDITION.search(line) if body and not trips else None
        for called in re.findall(r"[\w.\-]+", names):
            yield _Called(called, times, condition and condition[1])


def _runs(computations: dict[str, _Computation], entry: str) -> dict[str, int]:
    """How often each computation runs."""
    runs: dict[str, int] = {}

    def visit(name: str, times: int) -> None:
        if name not in computations:
            return
        runs[name] = runs.get(name, 0) + times
        for called in computations[name].calls:
            condition = computations.get(called.condition or "")
            rounds = called.times if condition is None else condition.rounds or 1
            visit(called.name, times * rounds)

    visit(entry, 1)
    return runs


def _result_bytes(shape: str, kind: str, phase: str) -> int:
    if phase != "start" or not shape.startswith("(") or kind == "all-reduce":
        return shape_bytes(shape)
    # The start of a pair holds (operands, results, …), each an array or a tuple of them.
    parts = _parts(shape)
    return shape_bytes(parts[1]) if len(parts) > 1 else shape_bytes(shape)


def _parts(shape: str) -> list[str]:
    """The parts of a tuple's shape; brackets of every kind are kept together."""
    parts, depth, start = [], 0, 1
    for at, letter in enumerate(shape):
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        if (letter == "," and depth == 1) or (letter == ")" and depth == 0):
            parts.append(shape[start:at])
            start = at + 1
    return parts


def _array_bytes(element: str, axes: str) -> int:
    if element == "token":
        return 0
    narrow = _NARROW.fullmatch(element)
    bits = 8 * _WIDTHS[element] if element in _WIDTHS else int(narrow[1]) if narrow else 0
    count = math.prod(int(axis) for axis in axes.split(",") if axis)
    return -(-count * bits // 8)
