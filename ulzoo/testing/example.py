"""A component's example as a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from ulzoo.errors import RegistryError
from ulzoo.registry import Registry
from ulzoo.spec.component import Component, Resolution


def example_config(
    cls: type[Component],
    registry: Registry,
    fields: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Component:
    """The configuration that a class's `example` describes, read as a spec would be.

    Args:
        fields: in place of the class's own `example`.
        folder: an empty one, for the files that the class's own example names.

    Raises:
        RegistryError: the fields are no configuration; says which field and why.
    """
    name = cls.model_fields["type"].default
    given = dict(cls.example if fields is None else fields)
    if fields is None and folder is not None:
        given |= cls.example_files(folder)
    try:
        return parse(cls, {"type": name, **given}, registry)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        ]
        raise RegistryError(
            f"{name}: its example {given or '{}'} is no configuration: {'; '.join(lines)}\n"
            f"    give the class `example: ClassVar = {{…}}` with every required field,"
            " or pass example={…}"
        ) from error


def parse(cls: type[Component], data: Mapping[str, Any], registry: Registry) -> Component:
    """Plain data, `type` included, as a spec's loader reads it. Raises pydantic's ValidationError."""
    return cls.model_validate_json(to_json(dict(data)), strict=True, context=Resolution(registry))
