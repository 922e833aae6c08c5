"""What every component promises as data: a schema that keeps its values, and a reference for its readers."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Iterable
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from ulzoo.errors import RegistryError
from ulzoo.spec.component import Component, SpecModel
from ulzoo.spec.dump import dump_yaml, resolved
from ulzoo.spec.fields import nested_models
from ulzoo.spec.text import parse as parse_yaml
from ulzoo.testing.case import Case
from ulzoo.testing.example import parse
from ulzoo.testing.mismatch import Mismatch, require

_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of")


def round_trip(case: Case) -> None:
    """The configuration, written as YAML and read again, is an equal one, and its JSON is the same."""
    # Whatever is a model will do for these, not whole specs alone.
    config: Any = case.config
    data, text = resolved(config), dump_yaml(config)
    try:
        again: Any = parse(type(case.config), parse_yaml(text, case.name).data, case.registry)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise Mismatch("what it writes to be read again", f"{place}: {problem['msg']}") from error
    require(again == config, f"{config!r} after writing and reading", repr(again))
    require(hash(again) == hash(config), "equal configurations to have equal hashes", "different ones")
    first, second = (json.dumps(part, sort_keys=True) for part in (data, resolved(again)))
    require(first == second, f"canonical JSON {first}", second)


def documented(case: Case) -> None:
    """The class says what it is, every field what it means, and every number what it may be."""
    cls = type(case.config)
    own = cls.__doc__ if "__doc__" in cls.__dict__ else None
    require(inspect.cleandoc(own or ""), f"a docstring on {cls.__name__}", "none")
    _fields_documented(cls, "", set())
    if cls.replaced_by is not None:
        try:
            entry = case.registry.find(case.kind, cls.replaced_by)
        except RegistryError as error:
            text = str(error).splitlines()[0]
            raise Mismatch(f"replaced_by to name an installed {case.kind}", text) from error
        require(entry.name != case.name, "replaced_by to name another component", f"{entry.name!r} itself")


def _fields_documented(model: type[SpecModel], place: str, seen: set[type[SpecModel]]) -> None:
    """The same of a model's fields and, `place.` before their names, of the mappings inside it."""
    seen.add(model)
    for key, info in model.model_fields.items():
        if key == "type" and issubclass(model, Component):
            continue
        name = f"{place}{key}"
        require((info.description or "").strip(), f"a docstring under the field {name!r}", "none")
        free = _unbounded(info.annotation, info.metadata)
        require(not free, f"a bound on the number {name!r}, such as Field(gt=0)", "none")
        for part in nested_models(info):
            if part not in seen:
                _fields_documented(part, f"{name}.", seen)


def _unbounded(annotation: Any, metadata: Iterable[Any]) -> bool:
    """Whether a type is a number without bounds; a list's bounds are checked by who builds from it."""
    if any(map(_bounds, metadata)):
        return False
    if get_origin(annotation) is Annotated:
        return _unbounded(get_args(annotation)[0], get_args(annotation)[1:])
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return all(_unbounded(kind, ()) for kind in kinds)
    return annotation in (int, float)


def _bounds(extra: Any) -> bool:
    if isinstance(extra, FieldInfo):
        return any(map(_bounds, extra.metadata))
    return any(getattr(extra, name, None) is not None for name in _BOUNDS)
