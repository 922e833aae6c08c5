"""What the README and the Python page show is done here, as printed, with a model of the least size."""

from __future__ import annotations

import sys
import tomllib

import numpy as np
import pytest
from blocks import ROOT, TINY, blocks

import ulzoo
from ulzoo.registry import Registry
from ulzoo.spec import load_spec


@pytest.fixture
def here(tmp_path, monkeypatch, builtin_registry):
    """A working directory with the README's spec as `my.yaml`, which loads at the least size."""
    (tmp_path / "my.yaml").write_text(blocks("README.md", "yaml")[0])
    monkeypatch.chdir(tmp_path)

    def load_tiny(path, overrides=(), registry=builtin_registry):
        return load_spec(path, [*overrides, *TINY], registry)

    monkeypatch.setattr(ulzoo, "load_spec", load_tiny, raising=False)
    monkeypatch.setattr(Registry, "discover", classmethod(lambda cls: builtin_registry))
    return tmp_path


def test_the_spec_fits_as_printed(here, builtin_registry):
    spec = load_spec("my.yaml", registry=builtin_registry)
    reports = ulzoo.inspect(ulzoo.assemble(spec), spec)
    assert [report.role for report in reports] == ["encoder", "prior", "decoder", "base_model"]


def test_the_typo_is_told_as_printed(here, builtin_registry):
    text = (here / "my.yaml").read_text().replace("channels: [32, 64]", "chanels: [32, 64]")
    (here / "my.yaml").write_text(text)
    with pytest.raises(ulzoo.UlzooError) as error:
        load_spec("my.yaml", registry=builtin_registry)
    assert f"```\n{error.value}\n```" in (ROOT / "README.md").read_text()


def test_the_whole_run_in_python_is_one(here):
    text = blocks("README.md", "python")[0]
    assert len(text.splitlines()) <= 10
    names: dict[str, object] = {}
    exec(text, names)
    # The least model measures nothing, and trains and samples all the same.
    assert {"stage1/train/loss", "stage2/train/loss"} <= names["numbers"].keys()
    assert (here / "runs" / "python" / "samples" / "grid.png").is_file()


def test_the_python_example_runs(here):
    names: dict[str, object] = {}
    exec(blocks("README.md", "python")[1], names)
    images = np.asarray(names["images"])
    assert images.shape == (10, 8, 8, 1)
    assert images.dtype == np.uint8


def test_the_python_page_runs(here, capsys):
    names: dict[str, object] = {}
    for block in blocks("docs/how-to/python.md", "python"):
        exec(block, names)
    printed = capsys.readouterr().out
    assert "ulzoo.resnet.v1" in printed
    assert "(4, 2, 2)" in printed  # the latent of its own encoder: 8×8 in patches of 4


def test_the_plugin_example_is_a_component_like_any_other(here, builtin_registry, monkeypatch):
    project = tomllib.loads(blocks("README.md", "toml")[0])["project"]
    module = blocks("README.md", "python")[2]
    assert len(module.splitlines()) < 40
    info = here / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (here / "acme_ulzoo.py").write_text(module)
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.delitem(sys.modules, "acme_ulzoo", raising=False)

    cls = Registry([str(here)]).load("encoder", "acme.patches.v1")
    registry = builtin_registry.with_local("encoder", cls)
    spec = load_spec(
        "my.yaml", ["encoder.type=acme.patches.v1", "encoder.latent_channels=4"], registry=registry
    )
    reports = ulzoo.inspect(ulzoo.assemble(spec), spec)
    # One linear map of 4×4 patches to 4 channels: 4·16 weights and 4 biases.
    assert (reports[0].output_shape, reports[0].parameters) == ((4, 4, 4), 68)
