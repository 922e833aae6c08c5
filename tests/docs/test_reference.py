"""The pages made from the code are those that the code would make now."""

from __future__ import annotations

import importlib.util

import pytest
from blocks import ROOT

from ulzoo.registry import KINDS


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    # A bar inside a cell would shift all that follow; each row has four cells.
    for path, text in generate.pages(builtin_registry).items():
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert bool(rows) == (path != "reference/rules.md")
        assert all(line.replace("\\|", "").count("|") == 5 for line in rows)


def test_defaults_read_as_yaml(generate):
    from ulzoo.spec.text import parse

    for value in (None, True, 3, 0.5, "v", [1, [2]], {"type": "a.b.v1", "steps": 64, "x": None}):
        assert parse(generate._yaml(value), "").data == value
