"""`--set a.b.0=value`: typed like YAML, placed in the data before it is checked, so checked like the file."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, PydanticUndefined, to_jsonable_python

from ulzoo.errors import Problem, SpecError
from ulzoo.spec.component import Resolution
from ulzoo.spec.fields import Place
from ulzoo.spec.messages import dotted, one_line, show
from ulzoo.spec.text import Document, Location, Mark, parse

Overrides = Sequence[str] | Mapping[str, Any]


class _Override:
    def __init__(self, location: tuple[str, ...], value: Any, mark: Mark) -> None:
        self.location, self.value, self.mark = location, value, mark

    def error(self, location: Location, text: str) -> SpecError:
        return SpecError([Problem(self.mark.where, dotted(location), text, order=self.mark.order)])


def apply(
    overrides: Overrides, document: Document, root: type[BaseModel], resolution: Resolution
) -> tuple[Document, list[Problem]]:
    """A document with the overrides in it and their flags as marks, and what is wrong with those left out.

    Whatever sets a `type` goes first, so that the order of flags does not matter: a new `type` drops the
    other keys of the old component, not those that another flag gives to the new one.
    Wrong is what is not `PATH=VALUE`, or leads through something that has no such part.
    """
    result = Document(copy.deepcopy(document.data), dict(document.marks), set(document.defaults))
    problems: list[Problem] = []
    if not isinstance(result.data, dict):
        return result, problems
    parsed = []
    for index, key in enumerate([overrides] if isinstance(overrides, str) else overrides):
        try:
            if isinstance(overrides, Mapping):
                parsed.append(_value(key, overrides[key], index))
            else:
                parsed.append(_text(key, index))
        except SpecError as error:
            problems += error.problems
    for override in sorted(parsed, key=_types_first):
        try:
            _put(override, result, root, resolution)
        except SpecError as error:
            problems += error.problems
    return result, problems


def _types_first(override: _Override) -> tuple[bool, int]:
    return override.location[-1] != "type", len(override.location) if override.location[-1] == "type" else 0


def _text(text: str, index: int) -> _Override:
    mark = Mark(f"--set {one_line(text, 80)}", (1, index, 0))
    path, equals, value = text.partition("=")
    location = tuple(path.strip().split("."))
    if not equals or not all(location):
        raise SpecError(
            [Problem(mark.where, "", "expected PATH=VALUE, such as stage1.steps=100", order=mark.order)]
        )
    try:
        return _Override(location, parse(value, "").data, mark)
    except SpecError as error:
        text = error.problems[0].text
        raise SpecError([Problem(mark.where, dotted(location), text, order=mark.order)]) from None


def _value(path: str, value: Any, index: int) -> _Override:
    mark = Mark(f"override {one_line(path, 80)}", (1, index, 0))
    location = tuple(path.split("."))
    if not all(location):
        raise SpecError([Problem(mark.where, "", "expected a dotted path", order=mark.order)])
    try:
        return _Override(location, to_jsonable_python(value), mark)
    except (PydanticSerializationError, ValueError) as error:
        text = f"expected plain data or a configuration: {error}"
        raise SpecError([Problem(mark.where, path, text, order=mark.order)]) from None


def _put(override: _Override, document: Document, root: type[BaseModel], resolution: Resolution) -> None:
    here, place = document.data, Place((root,), document.data)
    location: Location = ()
    for depth, word in enumerate(override.location):
        part: str | int = word
        if isinstance(here, list):
            if not word.isdecimal() or int(word) >= len(here):
                text = f"the list has {len(here)} values, none at {word!r}; positions count from 0"
                raise override.error((*location, word), text)
            part = int(word)
        elif not isinstance(here, dict):
            text = f"{dotted(location)} is {show(here)}, which has no part {word!r}"
            raise override.error((*location, word), text)
        location = (*location, part)
        if depth + 1 == len(override.location):
            break
        deeper = place.step(part, resolution)
        if isinstance(here, dict) and here.get(part) is None:
            # Not written in the file: an override of a part keeps the rest of the default.
            default = deeper.value if deeper else None
            here[part] = copy.deepcopy(default) if isinstance(default, dict) else {}
            document.marks[location] = override.mark
            document.defaults |= {(*location, key) for key in here[part]}
        here = here[part]
        place = Place(deeper.types, here) if deeper else Place((), PydanticUndefined)
    if part == "type" and isinstance(here, dict) and here.get("type") != override.value:
        here.clear()
        _forget(document, location[:-1])
        document.marks[location[:-1]] = override.mark
    here[part] = override.value
    _forget(document, location)
    document.marks[location] = override.mark


def _forget(document: Document, location: Location) -> None:
    for known in [known for known in document.marks if known[: len(location)] == location]:
        del document.marks[known]
    document.defaults -= {known for known in document.defaults if known[: len(location)] == location}
