"""What stands where in a spec: follows a location through the fields' types and the components' classes."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ulzoo.errors import RegistryError
from ulzoo.spec.component import Component, ComponentOf, Resolution, SpecModel


@dataclass(frozen=True)
class Place:
    """A place in a spec.

    Attributes:
        types: leaf types allowed there: SpecModel classes, `ComponentOf`, generic containers, plain types.
        value: the plain data there, defaults filled in; `PydanticUndefined` where there is none.
    """

    types: tuple[Any, ...]
    value: Any

    def fields(self, resolution: Resolution) -> dict[str, FieldInfo]:
        """Fields that a mapping at this place may have, empty if it can have none or any."""
        found: dict[str, FieldInfo] = {}
        for model in self._models(resolution):
            found |= model.model_fields
        return found

    def step(self, part: str | int, resolution: Resolution) -> Place | None:
        """The place one level deeper, or None if `part` is no field, index or key here."""
        inner: list[Any] = []
        default: Any = PydanticUndefined
        for model in self._models(resolution):
            if isinstance(part, str) and (info := model.model_fields.get(part)) is not None:
                inner += field_types(info)
                default = info.get_default(call_default_factory=False)
        for kind in self.types:
            origin, arguments = get_origin(kind), get_args(kind)
            if origin in (tuple, list, set, frozenset) and isinstance(part, int):
                inner += (leaf for argument in arguments for leaf in leaves(argument))
            elif origin in (dict, Mapping) and isinstance(part, str) and part != "[key]":
                inner += leaves(arguments[1])
        return Place(tuple(inner), item(self.value, part, default)) if inner else None

    def _models(self, resolution: Resolution) -> Iterator[type[SpecModel]]:
        for kind in self.types:
            if isinstance(kind, type) and issubclass(kind, SpecModel):
                yield kind
            elif isinstance(kind, ComponentOf):
                yield component_class(kind.kind, self.value, resolution) or Component


def component_class(kind: str, value: Any, resolution: Resolution) -> type[Component] | None:
    """The class that the mapping `value` names, None if it names none that can be loaded."""
    name = value.get("type") if isinstance(value, dict) else None
    if not isinstance(name, str) or not resolution.load:
        return None
    try:
        return resolution.registry.load(kind, name)
    except RegistryError:
        return None


def field_types(info: FieldInfo) -> tuple[Any, ...]:
    """Leaf types of a field; pydantic keeps the outermost Annotated's `ComponentOf` apart from the type."""
    marked = tuple(extra for extra in info.metadata if isinstance(extra, ComponentOf))
    return marked or tuple(leaves(info.annotation))


def nested_models(info: FieldInfo) -> tuple[type[SpecModel], ...]:
    """Mappings with fields of their own that a field may hold, alone or in a list; components are none."""
    if any(isinstance(extra, ComponentOf) for extra in info.metadata):
        return ()
    return tuple(dict.fromkeys(_models_in(info.annotation)))


def _models_in(annotation: Any) -> Iterator[type[SpecModel]]:
    if isinstance(annotation, type) and issubclass(annotation, SpecModel):
        if not issubclass(annotation, Component):
            yield annotation
        return
    for argument in get_args(annotation):
        yield from _models_in(argument)


def leaves(annotation: Any) -> Iterator[Any]:
    """The alternatives of a type: unions and Annotated taken apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *extras = get_args(annotation)
        marked = [extra for extra in extras if isinstance(extra, ComponentOf)]
        yield from marked or leaves(base)
    elif origin in (Union, types.UnionType):
        for alternative in get_args(annotation):
            yield from leaves(alternative)
    else:
        yield annotation


def item(value: Any, part: str | int, default: Any = PydanticUndefined) -> Any:
    """`value[part]` of plain data, or `default` where there is no such thing."""
    if isinstance(value, dict) and part in value:
        return value[part]
    if isinstance(value, list | tuple) and isinstance(part, int) and part < len(value):
        return value[part]
    return default
