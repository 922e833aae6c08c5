"""`ulzoo components`: what is installed, and one component's reference page."""

from __future__ import annotations

import types
from collections.abc import Iterable
from itertools import groupby
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ulzoo.errors import RegistryError
from ulzoo.registry import Registry
from ulzoo.spec.component import Component, ComponentOf
from ulzoo.spec.fields import field_types
from ulzoo.spec.messages import nearest

_WORDS = {int: "integer", float: "number", bool: "true/false", str: "text", type(None): "null"}
_BOUNDS = {
    "gt": "> {}",
    "ge": "≥ {}",
    "lt": "< {}",
    "le": "≤ {}",
    "multiple_of": "multiple of {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
    "pattern": "matching {}",
}


def components_table(registry: Registry, *, load: bool = False) -> str:
    """Every component by kind with its origin, and whatever is wrong with it.

    Args:
        load: import all of them, to see also those that break on import.
    """
    lines: list[str] = []
    rows = registry.status(load=load)
    width = max((len(row.entry.name) for row in rows), default=0)
    for kind, group in groupby(rows, key=lambda row: row.entry.kind):
        lines.append(kind)
        for row in group:
            state = "" if row.state == "ok" else f"  {row.state}: {row.note}"
            lines.append(f"  {row.entry.name:{width}}  {row.entry.origin}{state}".rstrip())
    lines += [f"problem: {problem}" for problem in registry.problems]
    return "\n".join(lines) if lines else "no components are installed"


def component_page(registry: Registry, name: str) -> str:
    """The reference of one component: fields, types, bounds, defaults, descriptions. Imports that one only.

    Args:
        name: `<namespace>.<name>.vN`, or `distribution::` before it.

    Raises:
        RegistryError: the name is unknown, ambiguous, refused, or the component broken.
    """
    short = name.rpartition("::")[2]
    kinds = list(dict.fromkeys(entry.kind for entry in registry.entries() if entry.name == short))
    if not kinds:
        near = nearest(short, sorted({entry.name for entry in registry.entries()}))
        hint = f"; did you mean '{near}'?" if near else ""
        raise RegistryError(f"no component named {name!r}{hint}\n    list them with: ulzoo components")
    return "\n\n".join(_page(registry, kind, name) for kind in kinds)


def _page(registry: Registry, kind: str, name: str) -> str:
    entry, cls = registry.find(kind, name), registry.load(kind, name)
    lines = [f"{entry.name}  ({kind}, {entry.origin}, {entry.target})"]
    if cls.__doc__ and cls.__doc__ != Component.__doc__:
        lines += ["", *(f"  {line.strip()}".rstrip() for line in cls.__doc__.strip().splitlines())]
    fields = {key: info for key, info in cls.model_fields.items() if key != "type"}
    for key, info in fields.items():
        lines += ["", f"  {key}: {_type(info)}{bounds_words(info.metadata)}{_default(info)}"]
        lines += [f"      {line.strip()}".rstrip() for line in (info.description or "").splitlines()]
    return "\n".join(lines if fields else [*lines, "", "  no fields"])


def _type(info: FieldInfo) -> str:
    kinds = (
        field_types(info) if any(isinstance(m, ComponentOf) for m in info.metadata) else (info.annotation,)
    )
    return " or ".join(map(type_words, kinds))


def type_words(annotation: Any) -> str:
    """A field's type as a reader of YAML would say it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, ComponentOf):
        return f"{annotation.kind} component"
    if origin is Annotated:
        marked = [extra for extra in arguments[1:] if isinstance(extra, ComponentOf)]
        return type_words(marked[0]) if marked else type_words(arguments[0]) + bounds_words(arguments[1:])
    if origin in (Union, types.UnionType):
        return " or ".join(map(type_words, arguments))
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin is dict:
        return f"mapping of {type_words(arguments[0])} to {type_words(arguments[1])}"
    if origin in (tuple, list, set, frozenset):
        if arguments[-1] is Ellipsis or origin is not tuple:
            return f"list of ({type_words(arguments[0])})"
        return f"[{', '.join(map(type_words, arguments))}]"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def bounds_words(metadata: Iterable[Any]) -> str:
    """`, > 0, at least 2 long`: the bounds among a type's annotations, empty if there are none."""
    found = []
    for extra in metadata:
        if isinstance(extra, FieldInfo):
            found.append(bounds_words(extra.metadata))
            continue
        for key, words in _BOUNDS.items():
            if (bound := getattr(extra, key, None)) is not None:
                found.append(f", {words.format(bound)}")
    return "".join(found)


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=False)
    if value is PydanticUndefined:
        return " (required)" if info.is_required() else ""
    return f" = {_yaml(value)}"


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return str(value)
