"""What the page about editing specs shows is so."""

from __future__ import annotations

import json

import pytest
from blocks import ROOT, TINY, blocks

import ulzoo
from ulzoo.registry import Registry
from ulzoo.rules import RULES
from ulzoo.spec import Effect, load_spec, parse_spec, show
from ulzoo.spec.diff import MEANINGS

PAGE = "docs/how-to/edit-specs.md"


@pytest.fixture
def here(tmp_path, monkeypatch, builtin_registry):
    """A working directory with the README's spec as `my.yaml`, which `ulzoo` loads at the least size."""
    (tmp_path / "my.yaml").write_text(blocks("README.md", "yaml")[0])
    monkeypatch.chdir(tmp_path)

    def load_tiny(path, overrides=()):
        spec = load_spec(path, TINY, builtin_registry)
        return parse_spec(show(spec), overrides=overrides, registry=builtin_registry)

    monkeypatch.setattr(ulzoo, "load_spec", load_tiny, raising=False)
    monkeypatch.setattr(Registry, "discover", classmethod(lambda cls: builtin_registry))
    return tmp_path


def test_origins_are_as_printed(here, builtin_registry):
    printed = show(load_spec("my.yaml", ["stage1.steps=2000"], builtin_registry))
    lines = [line.split() for line in printed.splitlines()]
    assert all(line.split() in lines for line in blocks(PAGE, "yaml")[0].splitlines())


def test_the_python_example_runs(here, capsys):
    (example,) = (block for block in blocks(PAGE, "python") if "explain" in block)
    names: dict[str, object] = {}
    exec(example, names)
    printed = capsys.readouterr().out
    assert "stage1.steps objective 2 2000\nsample.count measurement 10 8\n" in printed
    assert "the rate is an upper bound on the latent's bits" in printed
    assert json.dumps(names["schema"])


def test_groups_and_codes_are_those_that_there_are():
    page = (ROOT / PAGE).read_text()
    for effect in Effect:
        assert f"| {effect.value} | " in page
        row = next(line for line in page.splitlines() if line.startswith(f"| {effect.value} |"))
        assert row.endswith("| yes |") == effect.on_weights
    for line in blocks(PAGE, "text")[0].splitlines():
        group, colon, meaning = line.partition(": ")
        assert (
            not colon
            or line.startswith(" ")
            or group.startswith("two ")
            or MEANINGS[Effect(group)] == meaning
        )
    codes = {rule.code for rule in RULES}
    assert {word.strip("{:") for word in page.split() if word.startswith(("{UL", "UL0"))} <= codes
