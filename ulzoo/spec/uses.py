"""Which components a spec uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from ulzoo.spec.component import Component, ComponentOf, SpecModel
from ulzoo.spec.fields import field_types, leaves


@dataclass(frozen=True)
class Use:
    """One component of a spec: `path` is dotted (`prior.network`), `kind` as its field declares it."""

    path: str
    kind: str
    component: Component


def uses(spec: SpecModel) -> tuple[Use, ...]:
    """Every component in a spec (or in a configuration), outer before inner, in the order of fields."""
    return tuple(_walk(spec, (), ""))


def _walk(value: Any, types: tuple[Any, ...], path: str) -> Iterator[Use]:
    if isinstance(value, Component):
        yield from (Use(path, kind.kind, value) for kind in types if isinstance(kind, ComponentOf))
    if isinstance(value, SpecModel):
        for name, info in type(value).model_fields.items():
            yield from _walk(getattr(value, name), field_types(info), f"{path}.{name}" if path else name)
    elif isinstance(value, tuple | list | dict):
        inner = tuple(leaf for kind in types for argument in get_args(kind) for leaf in leaves(argument))
        for part in value if isinstance(value, dict) else range(len(value)):
            yield from _walk(value[part], inner, f"{path}.{part}")
