"""What pages show of errors, metrics, the loop and a run's files is so."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from blocks import ROOT, blocks

import ulzoo
from ulzoo.errors import SpecError
from ulzoo.registry import Registry
from ulzoo.spec import load_spec


@pytest.fixture
def here(tmp_path, monkeypatch, builtin_registry):
    """A working directory with the README's spec as `my.yaml`."""
    (tmp_path / "my.yaml").write_text(blocks("README.md", "yaml")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Registry, "discover", classmethod(lambda cls: builtin_registry))
    return tmp_path


def run_block(text: str, names: dict[str, object]) -> None:
    """As in a file of its own, without this one's future imports."""
    exec(compile(text, "<page>", "exec", dont_inherit=True), names)


def test_mistakes_are_told_as_on_the_page(here, builtin_registry):
    text = (here / "my.yaml").read_text()
    lines = blocks("docs/how-to/debug-a-spec.md", "diff")[0].splitlines()
    for old, new in zip(lines[::2], lines[1::2], strict=True):
        assert (old[0], new[0]) == ("-", "+")
        assert f"{old[1:]}\n" in text
        text = text.replace(f"{old[1:]}\n", f"{new[1:]}\n", 1)
    (here / "my.yaml").write_text(text)
    with pytest.raises(SpecError) as error:
        load_spec("my.yaml", registry=builtin_registry)
    assert f"{error.value}\n" == blocks("docs/how-to/debug-a-spec.md", "text")[0]


def test_mistakes_are_data_in_python(here, capsys):
    (example,) = blocks("docs/how-to/debug-a-spec.md", "python")
    run_block(example, {})
    place, warnings = capsys.readouterr().out.splitlines()
    assert place.startswith("--set encoder.chanels=3 encoder.chanels unknown field; did you mean 'channels'?")
    assert warnings.startswith("[")


def test_the_metric_of_the_page(here, builtin_registry):
    """Two images of four values: three of eight come back off by more than the tolerance of 16."""
    names: dict[str, object] = {}
    run_block(blocks("docs/how-to/own-metrics.md", "python")[0], names)
    config = names["WrongPixelsConfig"]
    originals = np.uint8([[100, 0, 255, 30], [7, 7, 7, 7]]).reshape(2, 2, 2, 1)
    images = np.uint8([[116, 17, 200, 30], [7, 7, 250, 7]]).reshape(2, 2, 2, 1)
    evaluation = SimpleNamespace(
        protocol={"spec_hash": "x"},
        reconstructions=lambda *asked: (originals, images, {"sampler": asked[-1]}),
    )
    (record,) = config().build(None)(evaluation)
    assert (record.name, record.value, record.unit) == ("stage1/heldout/wrong_pixels", 3 / 8, "1")
    assert record.protocol["tolerance"] == 16

    registry = builtin_registry.with_local("metric", config)
    (entry,) = blocks("docs/how-to/own-metrics.md", "yaml")
    spec = load_spec("my.yaml", [entry.strip().replace("evaluate: ", "evaluate=")], registry)
    assert spec.evaluate[1].tolerance == 8


def test_the_metric_on_a_run(here, monkeypatch, capsys):
    """The page's second block, with a run of which only what it asks is there."""
    names: dict[str, object] = {}
    first, second = blocks("docs/how-to/own-metrics.md", "python")
    run_block(first, names)
    white = np.full((1, 2, 2, 1), 255, np.uint8)
    evaluation = SimpleNamespace(
        protocol={}, assembly=SimpleNamespace(data=None), reconstructions=lambda *asked: (white, white, {})
    )
    monkeypatch.setattr(ulzoo.Run, "open", lambda directory: memoryview(b""))
    monkeypatch.setattr(ulzoo, "spec_of", lambda run: "spec", raising=False)
    monkeypatch.setattr(ulzoo.Experiment, "of", lambda spec: spec)
    monkeypatch.setattr(ulzoo, "evaluation_of", lambda run, experiment, stage: evaluation, raising=False)
    run_block(second, names)
    assert capsys.readouterr().out == "stage1/heldout/wrong_pixels 0.0 1\n"


def test_the_loop_of_the_page_does_what_train_does():
    from ulzoo import train
    from ulzoo.parallel.mesh import make_mesh

    names: dict[str, object] = {}
    run_block(blocks("docs/explanation/no-trainer.md", "python")[0], names)

    def seen_by(train):
        seen = []

        def step(state, batch):
            return SimpleNamespace(step=np.int32(state.step + 1)), {"loss": batch["image"].sum()}

        program = SimpleNamespace(step=step, abstract_batch=["image"], mesh=make_mesh())
        hooks = [
            (2, lambda done, state, metrics: seen.append((done, int(state.step), float(metrics["loss"]))))
        ]
        data = ({"image": np.full(2, i)} for i in range(9))
        end = train(program, SimpleNamespace(step=np.int32(1)), data, steps=6, hooks=hooks)
        return seen, int(end.step)

    assert seen_by(names["train"]) == seen_by(train) == ([(2, 2, 0.0), (4, 4, 4.0), (6, 6, 8.0)], 6)


def test_the_citation_is_complete():
    """Required fields of the Citation File Format 1.2.0, of the software and of the article."""
    citation = yaml.safe_load((ROOT / "docs/CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "version", "license"} <= set(citation)
    paper = citation["preferred-citation"]
    assert {"type", "title", "authors"} <= set(paper)
    names = [f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]]
    assert " and ".join(names) in (ROOT / "README.md").read_text()
    assert f'version = "{citation["version"]}"' in (ROOT / "pyproject.toml").read_text()


def test_every_file_of_a_run_is_on_its_page():
    """Names of the files of a finished run; those that are numbered or dated by their folder."""
    from small_run import finished_run

    page = (ROOT / "docs/reference/run-directory.md").read_text()
    for path in finished_run().directory.iterdir():
        assert re.search(rf"`{re.escape(path.name)}[/`]", page), path.name


def test_the_picture_can_be_read_in_light_and_dark():
    from xml.etree import ElementTree

    text = (ROOT / "docs/images/data-flow.svg").read_text()
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{space}title").text
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    classes = {name for part in root.iter() for name in part.get("class", "").split()}
    coloured = {name for name in classes if re.search(rf"\.{name} \{{[^}}]*#", light)}
    assert coloured
    assert {name for name in coloured if f".{name} {{" not in dark} == set()
