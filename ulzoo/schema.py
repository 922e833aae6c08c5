"""A JSON Schema of specs with everything that is installed: what editors complete, explain and check by.

Draft 7, the one that yaml-language-server reads. It knows each field by itself; what only shows when fields
are put together (a missing stage 2, shapes that do not fit) is for `ulzoo check`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from ulzoo.declarations import Declarations
from ulzoo.errors import RegistryError
from ulzoo.registry import KINDS, Entry, Registry
from ulzoo.rules import RULES
from ulzoo.spec.component import KIND_KEY, Component, SpecModel
from ulzoo.spec.dump import flow_yaml
from ulzoo.spec.model import Spec

_REF = "#/$defs/"
_BOUNDS = {
    "exclusiveMinimum": "> {}",
    "minimum": "≥ {}",
    "exclusiveMaximum": "< {}",
    "maximum": "≤ {}",
    "minItems": "at least {} long",
    "maxItems": "at most {} long",
}


def json_schema(
    registry: Registry | None = None, *, on_broken: Callable[[Entry, str], None] | None = None
) -> dict[str, Any]:
    """The schema, as plain data.

    Imports the modules of all components, without JAX where possible (`ulzoo.declarations`).

    Args:
        registry: whose components; by default those installed.
        on_broken: is told each component that cannot be loaded and is left out, and why.

    Raises:
        RegistryError: no registry is given and ulzoo is not installed.
    """
    found = Declarations(registry or Registry.discover())
    classes: dict[Entry, type[Component]] = {}
    for entry in found.entries():
        try:
            classes[entry] = found.load(entry.kind, f"{entry.distribution}::{entry.name}")
        except RegistryError as error:
            if on_broken is not None:
                on_broken(entry, str(error))
    models: list[type[SpecModel]] = [Spec, *dict.fromkeys(classes.values())]
    refs, schema = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF + "{model}"
    )
    definitions = schema["$defs"]
    names = {model: refs[model, "validation"]["$ref"].removeprefix(_REF) for model in models}
    for definition in definitions.values():
        _explain(definition)
    for kind in KINDS:
        chosen = {entry: names[cls] for entry, cls in classes.items() if entry.kind == kind}
        definitions[f"kind.{kind}"] = _kind(kind, chosen, definitions)
    root = definitions.pop(names[Spec])
    root["properties"]["silence"] |= _silence()
    root |= {"title": "ulzoo spec", "description": _words(root)}
    return _draft7({"$schema": "http://json-schema.org/draft-07/schema#", **root, "$defs": definitions})


def _kind(kind: str, chosen: dict[Entry, str], definitions: dict[str, Any]) -> dict[str, Any]:
    """A mapping whose `type` decides what else may stand in it."""
    spellings = {entry: _spellings(entry, chosen) for entry in chosen}
    options = [
        {"const": spelling, "description": _words(definitions[name])}
        for entry, name in chosen.items()
        for spelling in spellings[entry][:1]
    ]
    full = [re.escape(spelling) for entry in chosen for spelling in spellings[entry][1:]]
    rules = []
    for entry, name in chosen.items():
        # Which names stand for it is said once, above.
        definitions[name]["properties"]["type"] = {"description": _words(definitions[name])}
        definitions[name]["title"] = entry.name
        condition = {"properties": {"type": {"enum": spellings[entry]}}, "required": ["type"]}
        rules.append({"if": condition, "then": {"$ref": _REF + name}})
    # A pattern: right, but not among what an editor offers.
    types: list[dict[str, Any]] = [*options, *([{"pattern": f"^({'|'.join(full)})$"}] if full else [])]
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"description": f"Name of a component of kind {kind}.", "anyOf": types}},
        "allOf": rules,
    }


def _spellings(entry: Entry, others: Iterable[Entry]) -> list[str]:
    """How a spec may name it: the short name unless another distribution has it too, and the full one."""
    full = f"{entry.distribution}::{entry.name}"
    twins = [other for other in others if other.name == entry.name]
    return [entry.name, full] if len(twins) == 1 else [full]


def _silence() -> dict[str, Any]:
    reason = {"type": "string", "pattern": r"\S"}
    codes = {rule.code: {**reason, "description": f"{rule.title}. Say why it is meant."} for rule in RULES}
    return {"properties": codes, "additionalProperties": False}


def _words(definition: dict[str, Any]) -> str:
    return " ".join(str(definition.get("description", "")).split("\n\n")[0].split())


def _explain(definition: dict[str, Any]) -> None:
    """Bounds and defaults in words, since editors show descriptions only."""
    for field in definition.get("properties", {}).values():
        words = [" ".join(field.get("description", "").split())]
        words += [f"{text}." for text in _bounds(field)]
        if field.get("default", {}) != {}:
            words.append(f"Default: {flow_yaml(field['default'])}.")
        field["description"] = " ".join(filter(None, words))
        # Titles are the names again.
        field.pop("title", None)


def _bounds(field: dict[str, Any]) -> list[str]:
    parts = [field, *field.get("anyOf", ())]
    return [text.format(_number(part[key])) for part in parts for key, text in _BOUNDS.items() if key in part]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _draft7(value: Any) -> Any:
    """References in place of the marks of component fields; draft 7's words for newer ones."""
    if isinstance(value, list):
        return [_draft7(part) for part in value]
    if not isinstance(value, dict):
        return value
    if (kind := value.get(KIND_KEY)) is not None:
        # Draft 7 ignores whatever stands beside a $ref.
        rest = {key: _draft7(part) for key, part in value.items() if key != KIND_KEY}
        ref = {"$ref": f"{_REF}kind.{kind}"}
        return {**rest, "allOf": [ref]} if rest else ref
    result = {key: _draft7(part) for key, part in value.items()}
    if "prefixItems" in result:
        result["items"] = result.pop("prefixItems")
    return result
