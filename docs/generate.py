"""Writes the reference pages that are made from the code: `python docs/generate.py`.

The pages are committed, so that they can be read where the code is read; a test compares them with what this
script would write.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

from making import blocks
from making.python_page import python_page
from making.rule_pages import rule_pages
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ulzoo.cli.components import bounds_words, type_words
from ulzoo.registry import KINDS, RESERVED, Registry
from ulzoo.spec import Component, ComponentOf, Spec, SpecModel
from ulzoo.spec.fields import field_types, nested_models

HERE = Path(__file__).parent
MADE = "<!-- Made by docs/generate.py from the code; changes belong there. -->"
PARTLY = ("reference/cli.md", "reference/errors.md", "reference/metrics.md")
"""Pages written by hand around blocks that are made."""


def pages(registry: Registry) -> dict[str, str]:
    """Path, relative to this folder, → text of each page."""
    return {
        "reference/spec.md": spec_page(),
        "reference/components.md": components_page(registry),
        **rule_pages(registry, MADE),
        "reference/python.md": f"{MADE}\n{python_page()}",
        **{
            path: blocks.filled((HERE / path).read_text(encoding="utf-8"), _block(registry))
            for path in PARTLY
        },
    }


def _block(registry: Registry) -> Callable[[str], list[str]]:
    """From a block's name to its lines."""

    def make(name: str) -> list[str]:
        what, _, which = name.partition(" ")
        return {
            "commands": blocks.command_table,
            "command": partial(blocks.command_lines, which),
            "errors": blocks.error_table,
            "record": blocks.record_table,
            "metrics": partial(blocks.metric_table, registry),
        }[what]()

    return make


def spec_page() -> str:
    """Every field of a spec but those of components."""
    lines = [
        MADE,
        "# Spec",
        "",
        "A spec is a YAML mapping. Fields without a default must be given. `encoder component` and the like"
        " stand for a mapping with `type`: see [components](components.md).",
        "",
    ]
    for model in (Spec, *_parts(Spec)):
        title = "The file" if model is Spec else f"`{_key(model)}`"
        lines += [f"## {title}", "", _first_paragraph(model.__doc__), "", *_table(model)]
    return "\n".join(lines)


def components_page(registry: Registry) -> str:
    """Every component that comes with ulzoo, by kind."""
    lines = [
        MADE,
        "# Components",
        "",
        "Those that come along. `ulzoo components` lists all that are installed, a plugin's too.",
        "",
    ]
    for kind in KINDS:
        lines += [f"## {kind}", ""]
        for entry in registry.entries(kind):
            if entry.distribution == RESERVED:
                cls = registry.load(kind, entry.name)
                lines += [f"### `{entry.name}`", "", _about(cls), "", *_table(cls)]
                for part in _parts(cls):
                    lines += [f"`{part.__name__}`: {_first_paragraph(part.__doc__)}", "", *_table(part)]
    return "\n".join(lines)


def _parts(model: type[SpecModel]) -> list[type[SpecModel]]:
    """Mappings inside a model that are no components, each once, in the order of the fields."""
    found: list[type[SpecModel]] = []
    for info in model.model_fields.values():
        for kind in nested_models(info):
            found += [kind, *_parts(kind)]
    return list(dict.fromkeys(found))


def _key(model: type[SpecModel]) -> str:
    """Where in a spec a mapping stands: fields are named like their classes."""
    return "sample.guidance" if model.__name__ == "Guidance" else model.__name__.lower()


def _table(model: type[SpecModel]) -> list[str]:
    fields = {name: info for name, info in model.model_fields.items() if not _is_type(model, name)}
    if not fields:
        return ["No fields.", ""]
    rows = [
        f"| `{name}` | {_type(info)} | {_default(info)} | {_words(info)} |" for name, info in fields.items()
    ]
    return ["| field | type | default | |", "|---|---|---|---|", *rows, ""]


def _is_type(model: type[SpecModel], name: str) -> bool:
    return issubclass(model, Component) and name == "type"


def _type(info: FieldInfo) -> str:
    marked = any(isinstance(extra, ComponentOf) for extra in info.metadata)
    kinds: Iterable[Any] = field_types(info) if marked else (info.annotation,)
    words = " or ".join(map(type_words, kinds))
    nullable = " or null" if marked and type(None) in get_args(info.annotation) else ""
    return _cell(words + nullable + bounds_words(info.metadata))


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=False)
    return "" if value is PydanticUndefined else f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case dict():
            return "{" + ", ".join(f"{key}: {_yaml(part)}" for key, part in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_yaml, value)) + "]"
    return str(value)


def _words(info: FieldInfo) -> str:
    return _cell(" ".join((info.description or "").split()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _about(cls: type[Component]) -> str:
    """The class's own words, or its module's, which tell the source."""
    if cls.__doc__ and cls.__doc__ != Component.__doc__:
        return _first_paragraph(cls.__doc__)
    return " ".join(" ".join(_paragraphs(sys.modules[cls.__module__].__doc__)).split())


def _first_paragraph(text: str | None) -> str:
    return " ".join(next(_paragraphs(text), "").split())


def _paragraphs(text: str | None) -> Iterator[str]:
    yield from (part for part in inspect.cleandoc(text or "").split("\n\n") if part)


def write(registry: Registry) -> None:
    """Writes the pages, each into its place."""
    for path, text in pages(registry).items():
        (HERE / path).parent.mkdir(exist_ok=True)
        (HERE / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Registry.discover())
