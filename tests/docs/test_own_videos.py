"""The tutorial "your own videos", from drawing videos to the report.

As written in every command but the long run, which the trial that the page does before it stands in for. The
spec is as written too where time does not matter (`-m slow`), and otherwise has the least in each role:
compiling is most of it.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess

import pytest
from blocks import ROOT
from tutorial import file_on, follow

from ulzoo.registry import Registry

PAGE = (ROOT / "docs/tutorials/own-videos.md").read_text()
MP4 = shutil.which("ffmpeg") is not None and importlib.util.find_spec("av") is not None


@pytest.fixture
def here(tmp_path, monkeypatch, builtin_registry):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Registry, "discover", classmethod(lambda cls: builtin_registry))
    return tmp_path


def least(spec: str) -> str:
    """The spec with the same data, latents and stages, and with what compiles fastest for the rest."""
    network = "network: {type: ulzoo.vit.v1, patch: P, width: 8, depth: 1, heads: 1, embedding_width: 8}"
    spec = re.sub(r"network: \{.*uvit.*\}", network.replace("P", "[4, 8, 8]"), spec)
    spec = re.sub(r"network: \{.*vit.v1, width.*\}", network.replace("P", "2"), spec)
    spec = re.sub(r"  type: ulzoo.diffusion_prior.v1\n.*\n", "  type: ulzoo.normal_prior.v1\n", spec)
    spec = re.sub(r"  weighting: .*\n", "", spec)
    spec = spec.replace("ulzoo.diffusion_decoder.v1", "ulzoo.mse_decoder.v1")
    spec = spec.replace("channels: [32, 64], blocks: [1, 1]", "channels: [4, 4], blocks: [0, 0]")
    spec = spec.replace("batch_size: 16", "batch_size: 4")
    return re.sub(r"_2m.v1, steps: 20|ancestral.v1, steps: 20", lambda m: m[0].replace("20", "2"), spec)


@pytest.mark.parametrize("as_written", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_tutorial_runs(here, capsys, as_written):
    def instead(words):
        if words[:1] == ["ffmpeg"]:
            if MP4:
                subprocess.run(words, check=True, timeout=60)
            return True
        if words == ["ulzoo", "run", "videos.yaml", "--out", "videos-run"]:
            shutil.copytree("trial", "videos-run")
            return True
        return False

    told = follow(PAGE, capsys, least=None if as_written else least, instead=instead)
    assert "16×4×4×4" in told["ulzoo check videos.yaml"]
    run = here / "videos-run"
    assert (run / "predictions" / "0001" / "0000-003.webp").is_file()
    predicted = next(line for command, line in told.items() if command.startswith("ulzoo predict"))
    assert "PSNR of predicted frames" in predicted
    assert (run / "reconstructions" / "0001").is_dir()
    assert len(list((run / "samples" / "0001").glob("0*.webp"))) == 8
    assert "were given: 1 to 5" in (run / "report.html").read_text()


def test_no_rule_warns_of_its_spec(here, builtin_registry):
    """As it is printed, with the folder's two classes written out, so that nothing is opened."""
    import ulzoo

    text = file_on(PAGE, "videos.yaml")
    spec = ulzoo.parse_spec(text, overrides=["data.classes=2"], registry=builtin_registry)
    assert ulzoo.explain(spec).warnings == ()
