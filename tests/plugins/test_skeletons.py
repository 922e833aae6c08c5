"""`ulzoo plugin new`: what it writes is found, keeps its kind's promises and trains, without a change."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import numpy as np
import pytest

import ulzoo
from ulzoo import cli
from ulzoo.errors import RegistryError, RunError
from ulzoo.explanation import explain
from ulzoo.registry import KINDS, Registry
from ulzoo.skeleton.write import kinds, spec_file, write_plugin
from ulzoo.testing import failures

BUILT = [kind for kind in KINDS if kind in kinds()]


@pytest.fixture(scope="module")
def generated(tmp_path_factory, builtin_registry_folder):
    """Every kind's distribution on a path of its own, as if it were installed."""
    root = tmp_path_factory.mktemp("generated")
    site = tmp_path_factory.mktemp("site")
    for kind in BUILT:
        folder = write_plugin(f"acme.new-{kind.replace('_', '-')}", root / kind, kind)
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        lines = []
        for group, entries in project["entry-points"].items():
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (module,) = (path.name for path in folder.iterdir() if path.name.startswith("acme_"))
        shutil.copytree(folder / module, site / module)
    sys.path.insert(0, str(site))
    yield root, Registry([str(builtin_registry_folder), str(site)])
    sys.path.remove(str(site))
    for name in [name for name in sys.modules if name.startswith("acme_new_")]:
        del sys.modules[name]


def name_of(kind: str) -> str:
    return f"acme.new-{kind.replace('_', '-')}.v1"


def test_every_kind_of_module_has_a_skeleton():
    from ulzoo.testing.kinds import MODULES, OTHERS

    assert set(kinds()) == {*MODULES, *OTHERS}


@pytest.mark.parametrize("kind", BUILT)
def test_it_keeps_its_promises(kind, generated):
    assert failures(name_of(kind), registry=generated[1]) == []


@pytest.mark.parametrize("kind", BUILT)
def test_its_spec_fits(kind, generated):
    root, registry = generated
    spec = ulzoo.load_spec(root / kind / spec_file(kind), registry=registry)
    assert name_of(kind) in ulzoo.dump_yaml(spec)
    assert spec_file(kind) in (root / kind / "README.md").read_text()
    explanation = explain(spec)
    assert [report.role for report in explanation.reports] == ["encoder", "prior", "decoder", "base_model"]
    assert explanation.warnings == ()


def test_its_spec_trains(generated):
    """A network, in the decoder."""
    root, registry = generated
    small = ["stage1={steps: 3, batch_size: 4}", "prior={type: ulzoo.normal_prior.v1}"]
    spec = ulzoo.load_spec(root / "network" / "specs" / "digits.yaml", small, registry)
    program = ulzoo.stage1(ulzoo.assemble(spec), spec.stage1)
    with ulzoo.batches(spec.data, batch_size=4, seed=0) as data:
        state = ulzoo.train(program, program.init(jax.random.key(0)), data, steps=3)
    assert int(state.step) == 3
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(state.params))


def test_it_is_linted_as_this_project_is(generated):
    pytest.importorskip("ruff")
    config = Path(__file__).parents[2] / "pyproject.toml"
    for command in (["check"], ["format", "--check"]):
        call = [
            sys.executable,
            "-m",
            "ruff",
            *command,
            "--no-cache",
            "--config",
            str(config),
            str(generated[0]),
        ]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_configurations_load_without_jax(generated):
    root, _ = generated
    folders = [str(path) for path in root.iterdir()]
    modules = [f"acme_new_{kind}.config" for kind in BUILT]
    program = (
        f"import sys; sys.path[:0] = {folders!r}\n"
        f"import importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
        "assert not {'jax', 'numpy', 'equinox'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("name", ["acme.v1", "acme.v0", "acme.x.v0"])
def test_a_version_is_not_taken_for_a_name(name, tmp_path):
    with pytest.raises(RegistryError, match=r"a name reads <namespace>\.<name>\.vN"):
        write_plugin(name, tmp_path / "new", "encoder")


def test_from_the_command_line(tmp_path, capsys):
    assert cli.main(["plugin", "new", "acme.tiles", str(tmp_path / "a" / "tiles"), "--kind", "encoder"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{tmp_path}/a/tiles: a distribution with the encoder acme.tiles.v1; next:")
    assert (tmp_path / "a" / "tiles" / "acme_tiles" / "config.py").is_file()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["tiles"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Acme.Tiles", "'Acme.Tiles' cannot be the name of a component"),
        ("tiles", "a name reads <namespace>.<name>.vN, in lower case, such as acme.patches.v1"),
        ("acme.tiles.v0", "cannot be the name of a component"),
        ("../../tiles.v1", "cannot be the name of a component"),
        ("ulzoo.tiles.v1", "the namespace 'ulzoo.' belongs to the distribution ulzoo"),
        (
            "typing.extensions",
            "its module would be 'typing_extensions', and there is one of that name already",
        ),
    ],
)
def test_bad_names_write_nothing(name, words, tmp_path, capsys):
    assert cli.main(["plugin", "new", name, str(tmp_path / "x"), "--kind", "encoder"]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


def test_other_mistakes_write_nothing(tmp_path, monkeypatch):
    with pytest.raises(RegistryError, match="no skeleton for the kind 'encodr'\n    kinds: base_model, "):
        write_plugin("acme.tiles", tmp_path / "x", "encodr")
    with pytest.raises(RegistryError, match=r"weighting\n    did you mean 'encoder'\?$"):
        write_plugin("acme.tiles", tmp_path / "x", "encodr")
    (tmp_path / "taken").mkdir()
    with pytest.raises(RunError, match="taken: exists already"):
        write_plugin("acme.tiles", tmp_path / "taken", "encoder")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be made: "):
        write_plugin("acme.tiles", tmp_path / "file" / "x", "encoder")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(RunError, match="cannot be made: No space left on device"):
        write_plugin("acme.tiles", tmp_path / "x", "encoder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken"]
