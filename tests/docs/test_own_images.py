"""The tutorial "your own images", from drawing pictures to the report.

As written in every command but the long run, which the trial that the page does before it stands in for. The
spec is as written too where time does not matter (`-m slow`), and otherwise has the least in each role:
compiling is most of it.
"""

from __future__ import annotations

import re
import shutil

import pytest
from blocks import ROOT
from tutorial import file_on, follow

from ulzoo.registry import Registry

PAGE = (ROOT / "docs/tutorials/own-images.md").read_text()


@pytest.fixture
def here(tmp_path, monkeypatch, builtin_registry):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Registry, "discover", classmethod(lambda cls: builtin_registry))
    return tmp_path


def least(spec: str) -> str:
    """The spec with the same data, latents and stages, and with what compiles fastest for the rest."""
    network = "network: {type: ulzoo.vit.v1, patch: 4, width: 8, depth: 1, heads: 1, embedding_width: 8}"
    spec = re.sub(r"network: \{.*\}", network, spec).replace("channels: [32, 64]", "channels: [4, 4]")
    spec = re.sub(r"  type: ulzoo.diffusion_prior.v1\n.*\n", "  type: ulzoo.normal_prior.v1\n", spec)
    spec = re.sub(r"  weighting: .*\n", "", spec).replace(
        "ulzoo.diffusion_decoder.v1", "ulzoo.mse_decoder.v1"
    )
    spec = spec.replace("batch_size: 64", "batch_size: 8")
    return spec.replace("steps: 20}", "steps: 2}").replace("steps: 30}", "steps: 2}")


@pytest.mark.parametrize("as_written", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_tutorial_runs(here, capsys, as_written):
    def instead(words):
        if words == ["ulzoo", "run", "pictures.yaml", "--out", "pictures-run"]:
            shutil.copytree("trial", "pictures-run")
            return True
        return False

    told = follow(PAGE, capsys, least=None if as_written else least, instead=instead)
    assert "4×8×8" in told["ulzoo check pictures.yaml"]
    run = here / "pictures-run"
    assert (run / "report.html").is_file()
    assert (run / "reconstructions" / "0001").is_dir()
    assert "bits" in told["ulzoo reconstruct pictures-run pictures/discs/000.png"]
    assert len(list((run / "samples" / "0001").glob("*.png"))) == 8 + 1  # and a grid of them


def test_no_rule_warns_of_its_spec(here, builtin_registry):
    """As it is printed, with the folder's two classes written out, so that nothing is opened."""
    import ulzoo

    text = file_on(PAGE, "pictures.yaml")
    spec = ulzoo.parse_spec(text, overrides=["data.classes=2"], registry=builtin_registry)
    assert ulzoo.explain(spec).warnings == ()
