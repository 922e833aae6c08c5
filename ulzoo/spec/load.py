"""From a YAML file to a checked `Spec`, all problems of a pass at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import to_json

from ulzoo.errors import Problem, SpecError
from ulzoo.spec.component import ComponentFinder, Resolution, installed
from ulzoo.spec.dump import resolved
from ulzoo.spec.fields import Place
from ulzoo.spec.messages import loose_literals, problems
from ulzoo.spec.model import Spec
from ulzoo.spec.overrides import Overrides, apply
from ulzoo.spec.text import Document, Order, parse, read_text


def load_spec(path: str | Path, overrides: Overrides = (), registry: ComponentFinder | None = None) -> Spec:
    """The spec in a YAML file, every component checked by its own class.

    Imports the modules of the components that the spec names (and with them, usually, JAX).

    Args:
        overrides: `"a.b=value"` texts, as `--set` takes them, or a mapping from dotted paths to plain values.
        registry: where names are looked up; by default what is installed.

    Raises:
        SpecError: with every problem found, each with file, line and column, sorted.
        RegistryError: no registry is given and ulzoo is not installed.
    """
    return parse_spec(read_text(path), source=str(path), overrides=overrides, registry=registry)


def parse_spec(
    text: str,
    *,
    source: str = "<text>",
    overrides: Overrides = (),
    registry: ComponentFinder | None = None,
) -> Spec:
    """As `load_spec`, from text; `source` stands where a file's name would in messages."""
    return _validate(parse(text, source), overrides, Resolution(registry or installed()))


def check_structure(
    path: str | Path, overrides: Overrides = (), registry: ComponentFinder | None = None
) -> None:
    """The first pass alone: text, structure, and names of components, without importing any.

    What is inside a component is not looked at.

    Raises:
        SpecError: with every problem found.
    """
    document = parse(read_text(path), str(path))
    _validate(document, overrides, Resolution(registry or installed(), load=False))


def spec_where(spec: Spec, path: str) -> tuple[str, Order]:
    """Where a dotted path stands (`file:line:column`, a flag, or `<spec>` if made in Python), and its order.

    A path that is not written, such as a default, is where the nearest thing around it stands.
    """
    location: list[str | int] = []
    for part in path.split(".") if path else ():
        index = part.isdecimal() and (*location, int(part)) in spec._source.marks
        location.append(int(part) if index else part)
    mark = spec._source.mark(tuple(location))
    return mark.where, mark.order


def problem_at(spec: Spec, path: str, text: str, fix: Sequence[str] = ()) -> Problem:
    """A problem of a later pass, placed in the text that the spec came from."""
    where, order = spec_where(spec, path)
    return Problem(where, path, text, tuple(fix), order)


def _validate(document: Document, overrides: Overrides, resolution: Resolution) -> Spec:
    document, found = apply(overrides, document, Spec, resolution)
    if document.data is None:
        mark = document.mark(())
        raise SpecError([Problem(mark.where, "", "empty; a spec is a mapping that starts with 'ulzoo: 1'")])
    root = Place((Spec,), document.data)
    found += loose_literals(root, document, resolution)
    try:
        # As JSON: pydantic's strict mode then takes lists for tuples, and nothing else for anything else.
        spec = Spec.model_validate_json(to_json(document.data), strict=True, context=resolution)
    except ValidationError as error:
        found += problems(error.errors(include_url=False), document, root, resolution)
    if found:
        raise SpecError(found)
    document.resolved = resolved(spec)
    spec._source = document
    return spec
