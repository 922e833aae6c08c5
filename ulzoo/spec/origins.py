"""A resolved spec as YAML, with the origin of each value: a line of the file, a flag, or the default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic_core import PydanticUndefined

from ulzoo.spec.dump import flow_yaml, resolved, spec_hash
from ulzoo.spec.fields import item
from ulzoo.spec.model import Spec
from ulzoo.spec.text import Location

DEFAULT = "default"
_FURTHEST = 60
"""Column beyond which comments are no longer lined up: one long value must not push all others away."""


def origin(spec: Spec, location: Location) -> str:
    """Who gave the value at a location: `file:line:column`, `--set a.b=value`, or `default`.

    Of a spec made in Python nothing is known, and all is `<spec>`.
    """
    source = spec._source
    if not source.marks:
        return source.mark(()).where
    value: Any = source.data
    for depth, part in enumerate(location):
        value = item(value, part)
        if value is PydanticUndefined or location[: depth + 1] in source.defaults:
            return DEFAULT
    return source.mark(location).where


def show(spec: Spec) -> str:
    """The resolved spec as YAML, each value with its origin as a comment; which `parse_spec` reads back."""
    rows = list(_rows(spec, resolved(spec), (), 0))
    column = max((len(text) for text, _ in rows if len(text) <= _FURTHEST), default=0)
    lines = [f"{text:{column}}  # {comment}" if comment else text for text, comment in rows]
    return "\n".join((f"# spec {spec_hash(spec)}", *lines))


def _rows(spec: Spec, value: Any, location: Location, indent: int) -> Iterator[tuple[str, str]]:
    """Lines of a mapping or a list, each with the origin of the value on it."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for part, inner in entries:
        here = (*location, part)
        head = f"{' ' * indent}{flow_yaml(part)}:" if isinstance(value, dict) else f"{' ' * indent}-"
        if not _opens(inner):
            yield f"{head} {flow_yaml(inner)}", _comment(spec, here)
        elif isinstance(value, dict):
            yield head, ""
            yield from _rows(spec, inner, here, indent + 2)
        else:
            # The first line of an item stands behind its dash.
            (first, comment), *rest = _rows(spec, inner, here, indent + 2)
            yield f"{head} {first.lstrip()}", comment
            yield from rest


def _opens(value: Any) -> bool:
    """Whether a value takes lines of its own: mappings do, and lists of them."""
    if isinstance(value, list):
        return any(_opens(part) for part in value)
    return isinstance(value, dict) and bool(value)


def _comment(spec: Spec, location: Location) -> str:
    # A comment ends with its line.
    return " ".join(origin(spec, location).split())
