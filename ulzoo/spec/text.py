"""YAML text to plain data, with the place of every value.

YAML 1.2's core scalars (`1e-4` is a float, `no` is text, `010` is ten), read from the parser's events, so
that the traps of YAML are closed in one place: duplicate keys, tags, merge keys and cyclic anchors are
errors; size, depth and the expansion of anchors are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ulzoo.errors import Problem, SpecError

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_NODES = 20_000

Order = tuple[int, int, int]
Location = tuple[str | int, ...]

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


@dataclass(frozen=True)
class Mark:
    """Where something stands: `where` is `file:line:column` (from 1), or a flag; `order` sorts reports."""

    where: str
    order: Order


@dataclass
class Document:
    """Plain data and the mark of every value: at its key where it has one, else at the value itself.

    Documents all compare equal: they ride along with values that are compared by what they mean.
    `defaults` are those values that nobody wrote: an override of a part brings the rest of the default along.
    `resolved` is what the spec was when it was read; a copy changed in Python differs from it.
    """

    data: Any = field(compare=False)
    marks: dict[Location, Mark] = field(default_factory=dict, compare=False)
    defaults: set[Location] = field(default_factory=set, compare=False)
    resolved: Any = field(default=None, compare=False)

    def mark(self, location: Location) -> Mark:
        """The mark of a location, or of the nearest thing around it that the text has."""
        while location not in self.marks and location:
            location = location[:-1]
        return self.marks.get(location, Mark("<spec>", (0, 0, 0)))


def is_override(mark: Mark) -> bool:
    """Whether a value came from the command line or a mapping, not from the file."""
    return mark.order[0] == 1


@dataclass(frozen=True)
class _Node:
    """A value of the text; `content` is a scalar, a list of nodes, or pairs of key node and value node."""

    event: Any
    content: Any
    size: int
    depth: int


def read_text(path: str | Path) -> str:
    """The text of a spec file, UTF-8, of at most `MAX_BYTES`.

    Raises:
        SpecError: the file is absent, unreadable, too long or not UTF-8.
    """
    source = str(path)
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _failure(source, 0, 0, f"cannot be read: {reason}") from None
    if len(raw) > MAX_BYTES:
        raise _failure(source, 0, 0, f"is longer than {MAX_BYTES:,} bytes; no spec is")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        text = f"is not UTF-8 text: byte 0x{raw[error.start]:02x} at offset {error.start}"
        raise _failure(source, line, column, text) from None


def _told(error: yaml.MarkedYAMLError, text: str) -> tuple[Any, str]:
    """Where a text stops being YAML, and why: the parser's words, but for mistakes that they hide."""
    mark, begun = error.problem_mark or error.context_mark, error.context_mark
    reason = error.problem or error.context or "not YAML"
    if mark and text[mark.index : mark.index + 1] == "\t":
        return mark, "a tab; lines are indented with spaces"
    if begun and reason == "could not find expected ':'":
        # The parser is past the line by then.
        return begun, "no ':' after this key"
    if begun and (error.context or "").startswith("while parsing a flow"):
        reason += f"; opened at {begun.line + 1}:{begun.column + 1}"
    return mark, reason


def parse(text: str, source: str) -> Document:
    """Data and marks of a YAML text of one document.

    Raises:
        SpecError: the text is not YAML, or uses what a spec may not.
    """
    reader = _Reader(source)
    document = Document(None)
    node = reader.document(text)
    if node is None:
        document.marks[()] = Mark(f"{source}:1:1", (0, 1, 1))
    else:
        document.data = reader.build(node, (), None, document.marks)
    if reader.problems:
        raise SpecError(reader.problems)
    return document


def parse_scalar(text: str, source: str) -> Any:
    """The value of a command-line override: the same grammar as in files."""
    return parse(text, source).data


def plain(value: str) -> Any:
    """What an unquoted scalar means in YAML 1.2's core schema."""
    if _NULL.fullmatch(value):
        return None
    if _BOOL.fullmatch(value):
        return value.lower() == "true"
    if _INT.fullmatch(value):
        return int(value, {"0o": 8, "0x": 16}.get(value[:2], 10))
    if _FLOAT.fullmatch(value):
        return float(value.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return value


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.anchors: dict[str, _Node | None] = {}
        self.problems: list[Problem] = []

    def fail(self, mark: Any, text: str) -> SpecError:
        return _failure(self.source, mark.line + 1, mark.column + 1, text)

    def document(self, text: str) -> _Node | None:
        """The node of the only document, or None where there is none."""
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        if (character := _UNPRINTABLE.search(text)) is not None:
            line = text.count("\n", 0, character.start()) + 1
            column = character.start() - (text.rfind("\n", 0, character.start()) + 1) + 1
            raise _failure(self.source, line, column, f"unprintable character {character[0]!r}")
        events = yaml.parse(text, Loader=loader)
        node: _Node | None = None
        try:
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if node is not None:
                        raise self.fail(event.start_mark, "a second document; a spec is one")
                    if event.version not in (None, (1, 2)) or event.tags:
                        raise self.fail(event.start_mark, "directives are not allowed")
                elif isinstance(event, yaml.NodeEvent):
                    node = self.compose(event, events, 1)
        except yaml.MarkedYAMLError as error:
            mark, reason = _told(error, text)
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            lines = text.splitlines() or [""]
            if line > len(lines):  # libyaml puts the end of a text without a last line end on a line more
                line, column = len(lines), len(lines[-1]) + 1
            raise _failure(self.source, line, column, f"not YAML: {reason}") from None
        except yaml.YAMLError as error:
            raise _failure(self.source, 1, 1, f"not YAML: {str(error).splitlines()[0]}") from None
        return node

    def compose(self, event: Any, events: Iterator[Any], depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise self.fail(event.start_mark, f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        if event.tag not in (None, "!"):
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self.fail(event.start_mark, f"tags are not allowed, got {tag}")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        content: Any
        parts: list[_Node] = []
        size = 1
        if isinstance(event, yaml.ScalarEvent):
            content = self.scalar(event)
        else:
            for child in events:
                if isinstance(child, yaml.CollectionEndEvent):
                    break
                parts.append(self.compose(child, events, depth + 1))
                size += parts[-1].size
                if size > MAX_NODES:
                    raise self.fail(event.start_mark, f"more than {MAX_NODES:,} values, anchors expanded")
            pairs = isinstance(event, yaml.MappingStartEvent)
            content = list(zip(parts[::2], parts[1::2], strict=True)) if pairs else parts
        node = _Node(event, content, size, 1 + max((part.depth for part in parts), default=0))
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: Any, depth: int) -> _Node:
        if event.anchor not in self.anchors:
            raise self.fail(event.start_mark, f"no anchor &{event.anchor} stands above")
        node = self.anchors[event.anchor]
        if node is None:
            raise self.fail(event.start_mark, f"*{event.anchor} contains itself")
        if depth + node.depth > MAX_DEPTH:
            raise self.fail(event.start_mark, f"nested more than {MAX_DEPTH} deep, anchors expanded")
        return node

    def scalar(self, event: Any) -> Any:
        value: str = event.value
        if _SURROGATE.search(value):
            raise self.fail(event.start_mark, "half of a surrogate pair is not text")
        if not event.implicit[0]:
            return value  # quoted or a block: text, whatever it looks like
        if _INT.fullmatch(value) and not _fits(value):
            raise self.fail(event.start_mark, f"an integer beyond 64 bits: {_short(value)}")
        return plain(value)

    def build(self, node: _Node, location: Location, key: _Node | None, marks: dict[Location, Mark]) -> Any:
        at = (key or node).event.start_mark
        marks[location] = Mark(
            f"{self.source}:{at.line + 1}:{at.column + 1}", (0, at.line + 1, at.column + 1)
        )
        if isinstance(node.event, yaml.SequenceStartEvent):
            return [self.build(part, (*location, i), None, marks) for i, part in enumerate(node.content)]
        if not isinstance(node.event, yaml.MappingStartEvent):
            return node.content
        data: dict[str, Any] = {}
        for name_node, value in node.content:
            name = name_node.content
            if not isinstance(name, str):
                self.note(name_node, "a key must be text; quote it if it is meant so")
            elif name == "<<":
                self.note(name_node, "merge keys (<<) are not YAML 1.2; write the fields out")
            elif name in data:
                first = marks[*location, name].where.removeprefix(f"{self.source}:")
                self.note(name_node, f"duplicate key {_short(name)}, first at {first}")
            else:
                data[name] = self.build(value, (*location, name), name_node, marks)
        return data

    def note(self, node: _Node, text: str) -> None:
        """A problem that does not keep the rest from being read."""
        self.problems += self.fail(node.event.start_mark, text).problems


# Control characters but tab and line ends, surrogates, non-characters: what YAML forbids, with a place.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _fits(digits: str) -> bool:
    # The length first: int() is quadratic in the digits and refuses thousands of them.
    return len(digits) <= 24 and -(1 << 63) <= plain(digits) < 1 << 63


def _short(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "…")


def _failure(source: str, line: int, column: int, text: str) -> SpecError:
    where = f"{source}:{line}:{column}" if line else source
    return SpecError([Problem(where, "", text, order=(0, line, column))])
