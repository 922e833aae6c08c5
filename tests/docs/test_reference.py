"""The pages made from the code are those that the code would make now."""

from __future__ import annotations

import importlib
import re
import sys

import pytest
from blocks import ROOT, blocks

from ulzoo.registry import KINDS


@pytest.fixture(scope="module")
def generate():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        yield importlib.import_module("generate")
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_committed_pages_are_fresh(generate, builtin_registry):
    for path, text in generate.pages(builtin_registry).items():
        stale = f"docs/{path} is stale: run python docs/generate.py"
        assert (ROOT / "docs" / path).read_text() == text, stale


def test_every_component_and_field_is_described(generate, builtin_registry):
    page = generate.components_page(builtin_registry)
    for kind in KINDS:
        assert f"## {kind}\n" in page
        for entry in builtin_registry.entries(kind):
            section = page.split(f"### `{entry.name}`\n")[1].split("\n### ")[0]
            cls = builtin_registry.load(kind, entry.name)
            assert section.strip().splitlines()[0], entry.name
            for name, info in cls.model_fields.items():
                if name != "type":
                    assert f"| `{name}` |" in section
                    assert info.description, f"{entry.name}.{name} has no description"


def test_table_cells_are_not_torn(generate, builtin_registry):
    # A bar inside a cell would shift all that follow: rows of a table have as many cells as its head.
    for path, text in generate.pages(builtin_registry).items():
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            bars = {line.replace("\\|", "").count("|") for line in table.splitlines()}
            assert len(bars) == 1, (path, table)


def test_what_is_made_is_complete(generate, builtin_registry):
    from ulzoo.cli.commands import COMMANDS

    pages = generate.pages(builtin_registry)
    for command in COMMANDS:
        assert f"<!-- made: command {command} -->\n\n```text\nulzoo {command}" in pages["reference/cli.md"]
    assert "| `--stage 1\\|2` | which of the two; required |" in pages["reference/cli.md"]
    usage = "ulzoo train SPEC|RUN --stage 1|2 [--out DIR] [--set A.B=VALUE] [--distributed]"
    assert f"\n{usage} [--coordinator HOST:PORT] [--processes N] [--process I]\n" in pages["reference/cli.md"]
    assert "| `interval` | low and high end" in pages["reference/metrics.md"]
    for entry in builtin_registry.entries("metric"):
        assert f"| [`{entry.name}`](components.md) |" in pages["reference/metrics.md"]


def test_every_rule_has_a_page_that_shows_it_speak(generate, builtin_registry):
    from ulzoo.rules import RULES

    pages = generate.pages(builtin_registry)
    for rule in RULES:
        page = pages[f"reference/rules/{rule.code}.md"]
        assert rule.reason in page
        (printed,) = re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        assert re.match(rf"(my\.yaml:\d+:\d+|--set \S+): .*warning {rule.code}: ", printed), page
    assert len([path for path in pages if path.startswith("reference/rules/")]) == len(RULES)


def test_facts_on_the_rules_pages_are_what_assembling_finds(generate, builtin_registry):
    from making import rule_pages

    from ulzoo.explanation import explain
    from ulzoo.spec import parse_spec

    (readme,) = blocks("README.md", "yaml")[:1]
    for code, example in rule_pages.EXAMPLES.items():
        if example.facts:
            spec = parse_spec(
                readme, source="my.yaml", overrides=example.overrides, registry=builtin_registry
            )
            found = [str(warning) for warning in explain(spec).warnings if warning.code == code]
            shown = rule_pages.told(builtin_registry, example)
            assert found == [text for text in shown if f"warning {code}:" in text]


def test_every_public_name_is_placed_and_found(generate, builtin_registry, monkeypatch):
    import ulzoo

    page = generate.pages(builtin_registry)["reference/python.md"]
    for name in ulzoo.__all__:
        assert f"| `ulzoo.{name}` | " in page
    for place in re.findall(r"^::: (\S+)$", page, re.MULTILINE):
        module, _, name = place.rpartition(".")
        assert getattr(importlib.import_module(module), name).__doc__, place
    monkeypatch.setattr(ulzoo, "__all__", [*ulzoo.__all__, "unheard_of"])
    with pytest.raises(ValueError, match="unheard_of"):
        generate.python_page()


def test_an_unknown_block_is_refused(generate, builtin_registry):
    page = "<!-- made: weather -->\n<!-- end -->\n"
    with pytest.raises(KeyError, match="weather"):
        generate.blocks.filled(page, generate._block(builtin_registry))


def test_defaults_read_as_yaml(generate):
    from ulzoo.spec.text import parse

    for value in (None, True, 3, 0.5, "v", [1, [2]], {"type": "a.b.v1", "steps": 64, "x": None}):
        assert parse(generate._yaml(value), "").data == value
