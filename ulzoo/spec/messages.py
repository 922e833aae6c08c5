"""From pydantic's errors to sentences about the spec."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic_core import ErrorDetails, PydanticUndefined

from ulzoo.errors import Problem
from ulzoo.spec.component import Resolution
from ulzoo.spec.fields import Place
from ulzoo.spec.text import Document, Location, is_override

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "dict": "a mapping",
    "model": "a mapping",
    "mapping": "a mapping",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "path": "a path",
    "none_required": "null",
}
_BOUNDS = {
    "greater_than": ("must be greater than", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be less than", "lt"),
    "less_than_equal": ("must be at most", "le"),
    "multiple_of": ("must be a multiple of", "multiple_of"),
}


@dataclass(frozen=True)
class _Found:
    """One error, located in the spec; `union`: where the choice between types stands that it belongs to."""

    location: Location
    text: str
    input: Any
    fix: tuple[str, ...]
    show: bool
    union: Location | None


def problems(
    errors: list[ErrorDetails], document: Document, root: Place, resolution: Resolution
) -> list[Problem]:
    """One problem for each place that is wrong.

    A value that could be of several types gives one error per type: those are drawn together, and where one
    type fits but for something inside, only that is reported.
    """
    groups: dict[Location, list[_Found]] = {}
    for error in errors:
        found = _located(error, root, resolution)
        groups.setdefault(found.union if found.union is not None else found.location, []).append(found)
    result = []
    for group in groups.values():
        deepest = max(len(found.location) for found in group)
        by_location: dict[Location, list[_Found]] = {}
        for found in group:
            if found.union is None or len(found.location) == deepest:
                by_location.setdefault(found.location, []).append(found)
        result += [_problem(location, same, document) for location, same in by_location.items()]
    return result


def loose_literals(
    place: Place, document: Document, resolution: Resolution, location: Location = ()
) -> list[Problem]:
    """What pydantic's Literal lets through, since in Python 1 == 1.0 == True."""
    value = place.value
    if isinstance(value, dict | list):
        parts = value.keys() if isinstance(value, dict) else range(len(value))
        steps = ((part, place.step(part, resolution)) for part in parts)
        return [
            problem
            for part, deeper in steps
            if deeper is not None
            for problem in loose_literals(deeper, document, resolution, (*location, part))
        ]
    options = [option for kind in place.types if get_origin(kind) is Literal for option in get_args(kind)]
    equal = [option for option in options if option == value]
    plain_types = [kind for kind in place.types if get_origin(kind) is not Literal and kind is not NoneType]
    if plain_types or not equal or any(type(option) is type(value) for option in equal):
        return []
    mark = document.mark(location)
    text = f"expected {' or '.join(map(repr, options))}, got {show(value)}"
    return [Problem(mark.where, dotted(location), text, (), mark.order)]


def show(value: Any) -> str:
    """A value as a message quotes it, in YAML's words and of bounded length."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        text = "[" + ", ".join(show(part) for part in value[:6]) + (", …]" if len(value) > 6 else "]")
        return text if len(text) <= 60 else f"a list of {len(value)}"
    return repr(value if not isinstance(value, str) or len(value) <= 60 else value[:59] + "…")


def dotted(location: Location) -> str:
    """`("stage1", "steps")` → `stage1.steps`."""
    return ".".join(one_line(str(part), 60) for part in location)


def one_line(text: str, length: int) -> str:
    """A user's text as part of a message: on one line, bounded, control characters and surrogates escaped."""
    text = " ".join(text.split())
    text = text if text.isprintable() else text.encode("unicode_escape").decode()
    return text if len(text) <= length else text[: length - 1] + "…"


def nearest(word: str, words: list[str]) -> str | None:
    """The word most like `word`, None if none is."""
    near = difflib.get_close_matches(word[:100], words, 1, 0.6)
    return near[0] if near else None


def unknown_field(name: str, known: list[str]) -> tuple[str, tuple[str, ...]]:
    """Text and remedy for a field that does not exist among `known`."""
    if near := nearest(name, known):
        return f"unknown field; did you mean '{near}'?", ()
    return "unknown field", (f"fields here: {', '.join(known)}",) if known else ()


def _located(error: ErrorDetails, root: Place, resolution: Resolution) -> _Found:
    place, location, union = root, [], None
    for index, part in enumerate(error["loc"]):
        deeper = place.step(part, resolution)
        last = index + 1 == len(error["loc"])
        if deeper is not None:
            place = deeper
            location.append(part)
        elif last and error["type"] == "extra_forbidden":
            location.append(part)
        elif part != "[key]":
            # Pydantic writes the name of the alternative into the path of an error inside a union.
            union = tuple(location)
    path: Location = tuple(location)
    text, fix, quoted = _say(error, place, resolution)
    if error["type"] == "missing" and path and isinstance(path[-1], int):
        # A list too short for its type is an error of the list.
        return _Found(
            path[:-1], f"expected at least {_counted(path[-1] + 1, 'value')}", error["input"], (), True, union
        )
    return _Found(path, text, error["input"], fix, quoted, union)


def _say(error: ErrorDetails, place: Place, resolution: Resolution) -> tuple[str, tuple[str, ...], bool]:
    """Text, remedies, and whether the value found is to be quoted."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "ulzoo":
        return context["text"], tuple(context["fix"]), context["show"]
    if kind == "extra_forbidden":
        text, fix = unknown_field(str(error["loc"][-1]), list(place.fields(resolution)))
        return text, fix, False
    if kind == "missing":
        return "missing", (), False
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", error["msg"])), (), False
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        bound = context[key]
        return f"{words} {bound:g}" if isinstance(bound, float) else f"{words} {bound}", (), True
    if kind == "literal_error":
        if error["loc"][-1] == "[key]":
            return f"unknown key; expected {context['expected']}", (), False
        return f"expected {context['expected']}", (), True
    if kind == "finite_number":
        return "expected a finite number", (), True
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        count = context.get("min_length", context.get("max_length"))
        unit = "character" if kind.startswith("string") else "value"
        bound = "at least" if kind.endswith("short") else "at most"
        return f"expected {bound} {_counted(count, unit)}", (), True
    if kind == "string_pattern_mismatch":
        return f"expected text that matches {context['pattern']}", (), True
    expected = _EXPECTED.get(kind) or _EXPECTED.get(kind.partition("_")[0])
    message = error["msg"][:1].lower() + error["msg"][1:]
    return f"expected {expected}" if expected else message.replace("input should be", "expected"), (), True


def _counted(count: Any, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _problem(location: Location, same: list[_Found], document: Document) -> Problem:
    texts = list(dict.fromkeys(found.text for found in same))
    if len(texts) > 1 and all(text.startswith("expected ") for text in texts):
        texts = [texts[0], *(text.removeprefix("expected ") for text in texts[1:])]
    text = " or ".join(texts)
    first = same[0]
    if first.show and first.input is not PydanticUndefined:
        text += f", got {show(first.input)}"
    mark = document.mark(location)
    fix = [line for found in same for line in found.fix]
    for at, other in document.marks.items():
        # A value of the file that became wrong beside one that a flag gave, and that is named.
        beside = location and len(at) == len(location) and at[:-1] == location[:-1] and at != location
        named = beside and re.search(rf"\b{re.escape(str(at[-1]))}\b", text)
        if named and is_override(other) and not is_override(mark):
            fix.append(f"with {other.where}")
    return Problem(mark.where, dotted(location), text, tuple(fix), mark.order)
