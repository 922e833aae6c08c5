"""`ulzoo components`: what is installed, and one component's reference page."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable
from itertools import groupby
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ulzoo.registry import Registry
from ulzoo.spec.component import Component, ComponentOf, SpecModel
from ulzoo.spec.dump import flow_yaml
from ulzoo.spec.fields import field_types, nested_models

_WORDS = {int: "integer", float: "number", bool: "true/false", str: "text", type(None): "null"}
_PLACES: dict[str, tuple[list[str], str, int]] = {
    "dataset": ([], "data: ", 0),
    "encoder": ([], "encoder: ", 0),
    "network": (["prior:", "  type: ulzoo.diffusion_prior.v1"], "network: ", 1),
    "prior": ([], "prior: ", 0),
    "decoder": ([], "decoder: ", 0),
    "base_model": ([], "base_model: ", 0),
    "conditioner": (["base_model:", "  conditioners:"], "- ", 2),
    "schedule": (["base_model:"], "schedule: ", 1),
    "weighting": (["decoder:"], "weighting: ", 1),
    "sampler": (["sample:"], "sampler: ", 1),
    "optimizer": (["stage1:"], "optimizer: ", 1),
    "metric": (["evaluate:"], "- ", 1),
    "tracker": (["trackers:"], "- ", 1),
}
"""Where in a spec a component of a kind stands, or may: the lines before it, its key, and its depth."""
_WIDTH = 100
"""Longest line of an example that is written as one."""
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
    if not lines:
        return "no components are installed"
    if not load:
        lines += ["", "nothing was imported; --load shows what breaks when it is"]
    return "\n".join(lines)


def component_page(registry: Registry, name: str) -> str:
    """The reference of one component: fields, types, bounds, defaults, descriptions. Imports that one only.

    Args:
        name: `<namespace>.<name>.vN`, or `distribution::` before it.

    Raises:
        RegistryError: the name is unknown, ambiguous, refused, or the component broken.
    """
    return "\n\n".join(_page(registry, kind, name) for kind in registry.kinds_of(name))


def _page(registry: Registry, kind: str, name: str) -> str:
    entry, cls = registry.find(kind, name), registry.load(kind, name)
    lines = [f"{entry.name}  ({kind}, {entry.origin}, {entry.target})"]
    if cls.__doc__ and cls.__doc__ != Component.__doc__:
        lines += ["", *(f"  {line.strip()}".rstrip() for line in cls.__doc__.strip().splitlines())]
    if cls.replaced_by:
        lines += ["", f"  replaced by {cls.replaced_by}: use that in new specs; old ones keep their meaning"]
    lines += _fields(cls, "  ", set()) or ["", "  no fields"]
    if fragment := example_fragment(kind, cls):
        lines += ["", "  example:", *(f"      {line}" for line in fragment)]
    return "\n".join(lines)


def _fields(model: type[SpecModel], margin: str, told: set[type[SpecModel]]) -> list[str]:
    """A paragraph for each field, with those of a mapping inside it below it, once each."""
    lines: list[str] = []
    for key, info in model.model_fields.items():
        if key == "type" and issubclass(model, Component):
            continue
        lines += ["", f"{margin}{key}: {_type(info)}{bounds_words(info.metadata)}{_default(info)}"]
        lines += [f"{margin}    {line.strip()}".rstrip() for line in (info.description or "").splitlines()]
        for part in nested_models(info):
            if part not in told:
                told.add(part)
                about = " ".join(inspect.cleandoc(part.__doc__ or "").split("\n\n")[0].split())
                lines += ["", f"{margin}    {part.__name__}: {about}".rstrip()]
                lines += _fields(part, f"{margin}      ", told)
    return lines


def example_fragment(kind: str, cls: type[Component]) -> list[str]:
    """Lines of a spec that use a component's example; none if it has required fields and no example."""
    if not cls.example and any(info.is_required() for info in cls.model_fields.values()):
        return []
    fields = {"type": cls.model_fields["type"].default, **cls.example}
    before, key, depth = _PLACES.get(kind, ([], "", 0))
    margin = "  " * depth
    line = f"{margin}{key}{flow_yaml(fields)}"
    if len(line) <= _WIDTH:
        return [*before, line]
    body = [f"{name}: {flow_yaml(value)}" for name, value in fields.items()]
    if key.startswith("-"):
        return [*before, f"{margin}- {body[0]}", *(f"{margin}  {part}" for part in body[1:])]
    return [*before, f"{margin}{key}".rstrip(), *(f"{margin}  {part}" for part in body)]


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
