"""A resolved spec as YAML, with the origin of each value: a line of the file, a flag, or the default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic_core import PydanticUndefined

from ulzoo.spec.dump import flow_yaml, resolved, spec_hash
from ulzoo.spec.fields import item
from ulzoo.spec.model import Spec
from ulzoo.spec.text import Document, Location

DEFAULT = "default"
_FURTHEST = 60
"""Column beyond which comments are no longer lined up: one long value must not push all others away."""


def origin(spec: Spec, location: Location, plain: Any = None) -> str:
    """Who gave the value at a location: `file:line:column`, `--set a.b=value`, or `default`.

    Of what was made in Python, in place of what was read, nothing is known, and it is `<spec>`.

    Args:
        plain: `resolved(spec)`, if it is there already.
    """
    source = spec._source
    plain = resolved(spec) if plain is None else plain
    now, read, value = plain, source.resolved, source.data
    by_default = False
    for depth, part in enumerate(location):
        now, read, value = item(now, part), item(read, part), item(value, part)
        by_default |= value is PydanticUndefined or location[: depth + 1] in source.defaults
    if not source.marks or now != read:
        return Document(None).mark(()).where
    return DEFAULT if by_default else source.mark(location).where


def show(spec: Spec) -> str:
    """The resolved spec as YAML, each value with its origin as a comment; which `parse_spec` reads back."""
    plain = resolved(spec)
    rows = list(_rows(plain, (), 0, lambda location: origin(spec, location, plain)))
    column = max((len(text) for text, _ in rows if len(text) <= _FURTHEST), default=0)
    lines = [f"{text:{column}}  # {comment}" if comment else text for text, comment in rows]
    return "\n".join((f"# spec {spec_hash(spec)}", *lines))


def _rows(
    value: Any, location: Location, indent: int, origin_of: Callable[[Location], str]
) -> Iterator[tuple[str, str]]:
    """Lines of a mapping or a list, each with the origin of the value on it."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for part, inner in entries:
        here = (*location, part)
        head = f"{' ' * indent}{flow_yaml(part)}:" if isinstance(value, dict) else f"{' ' * indent}-"
        if not _opens(inner):
            # A comment ends with its line, whatever a flag's value holds.
            yield f"{head} {flow_yaml(inner)}", " ".join(origin_of(here).split())
        elif isinstance(value, dict):
            yield head, ""
            yield from _rows(inner, here, indent + 2, origin_of)
        else:
            # The first line of an item stands behind its dash.
            (first, comment), *rest = _rows(inner, here, indent + 2, origin_of)
            yield f"{head} {first.lstrip()}", comment
            yield from rest


def _opens(value: Any) -> bool:
    """Whether a value takes lines of its own: mappings do, and lists of them."""
    if isinstance(value, list):
        return any(_opens(part) for part in value)
    return isinstance(value, dict) and bool(value)
