"""What changed of a run's components: another version of the name is refused, of the distribution noted."""

from __future__ import annotations

import sys

import pytest
from fake_site import SPEC, distribution, site

from ulzoo import provenance
from ulzoo.errors import RunError
from ulzoo.registry import Registry
from ulzoo.run import Run
from ulzoo.spec import dump_yaml, parse_spec, spec_hash

OTHER = """
from typing import ClassVar, Literal
from ulzoo.spec import Component

class Encoder(Component):
    type: Literal["acme.conv.v3"] = "acme.conv.v3"
    channels: tuple[int, ...] = (4,)
    replaced_by: ClassVar[str | None] = "acme.conv.v4"
    def build(self, io, *, key): return None
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A registry with `acme.conv.v2`, and `acme.conv.v3` of another distribution."""
    folder = site(tmp_path / "site")
    (folder / "fake_third.py").write_text(OTHER)
    distribution(folder, "third", "1", {"encoder": {"acme.conv.v3": "Encoder"}}, "fake_third")
    monkeypatch.syspath_prepend(str(folder))
    registry = Registry([str(folder)])
    monkeypatch.setattr(Registry, "discover", classmethod(lambda cls: registry))
    yield registry
    for name in ("fake_acme", "fake_own", "fake_third"):
        sys.modules.pop(name, None)


def started(folder, spec, components):
    text = dump_yaml(spec)
    return Run.create(
        folder,
        name="x",
        spec_text=text,
        resolved_text=text,
        spec_hash=spec_hash(spec),
        components=components,
    )


def test_another_component_version_is_refused_with_the_reason(here, tmp_path):
    from ulzoo.stages import spec_of

    spec = parse_spec(SPEC, registry=here)
    with started(tmp_path / "run", spec, provenance.origins(spec, here)) as run:
        text = run.resolved_path.read_text()
        run.resolved_path.write_text(
            text.replace("acme.conv.v2", "acme.conv.v3").replace("rate: 0.1", "").replace("wide: false", "")
        )
        lines = [line for line in run.resolved_path.read_text().splitlines() if line.strip()]
        run.resolved_path.write_text("\n".join(lines) + "\n")
        with pytest.raises(RunError) as caught:
            spec_of(run)
    assert "changed since the run was started" in str(caught.value)
    assert "\n    encoder: acme.conv.v3, which this run was not started with\n" in str(caught.value)


def test_another_distribution_version_is_noted(here, tmp_path):
    from ulzoo.stages import spec_of

    spec = parse_spec(SPEC, registry=here)
    origins = provenance.origins(spec, here) | {
        "acme.conv.v2": "acme-ulzoo 1.3",
        "acme.net.v1": "acme-ulzoo 1.3",
    }
    with started(tmp_path / "run", spec, origins) as run:
        notes: list[str] = []
        assert spec_of(run, note=notes.append) == spec
    assert notes == [
        "acme.conv.v2, acme.net.v1: from acme-ulzoo 1.3 when the run was started, now from acme-ulzoo 1.4;"
        " equal names keep their meaning"
    ]


def test_a_checkpoint_names_the_components_that_trained_it(here):
    from ulzoo.restoring import checkpoint_manifest

    spec = parse_spec(SPEC, registry=here)
    components = checkpoint_manifest(spec, 1)["components"]
    assert components["encoder"] == "acme.conv.v2"
    assert components["prior.network"] == "acme.net.v1"
    assert components["stage1.optimizer"] == "ulzoo.adam.v1"
    # Measured or sampled in another way, it is the same checkpoint.
    assert not [path for path in components if path.startswith(("sample", "evaluate"))]


def test_a_replaced_component_is_told_with_its_place(here):
    text = SPEC.replace("acme.conv.v2", "acme.conv.v3")
    lines = list(provenance.replaced(parse_spec(text, source="my.yaml", registry=here)))
    assert lines == ["my.yaml:5:3: encoder: acme.conv.v3 keeps its meaning, but acme.conv.v4 replaces it"]


def test_check_tells_it_on_standard_error(here, tmp_path, capsys):
    from ulzoo.cli.loading import load_checked

    (tmp_path / "my.yaml").write_text(SPEC.replace("acme.conv.v2", "acme.conv.v3"))
    load_checked(str(tmp_path / "my.yaml"), [])
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"note: {tmp_path}/my.yaml:5:3: encoder: acme.conv.v3 keeps its meaning")
