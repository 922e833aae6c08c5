"""Weights and functions leave a finished run and give, elsewhere, the numbers that they give in it."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import export
from safetensors.numpy import load_file, save_file
from small_run import SPEC

from ulzoo.checkpoint import Checkpoints
from ulzoo.cli import main
from ulzoo.errors import CheckpointError, RunError
from ulzoo.experiment import Experiment
from ulzoo.export.runs import run_from, weights_of
from ulzoo.export.weights import FORMAT, load_weights, require_extra, save_weights
from ulzoo.programs.measure import keys_for, reconstruct
from ulzoo.programs.program import to_model
from ulzoo.restoring import checkpoint_manifest
from ulzoo.run import Run
from ulzoo.spec import parse_spec
from ulzoo.stages import create_run, evaluation_of, spec_of


def drawn(like, rng):
    """An array of NumPy's in the place of a shape."""
    if jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.device_put(jax.random.key(0), like.sharding)
    values = 0.2 * rng.standard_normal(like.shape)
    return jax.device_put(values.astype(like.dtype), like.sharding)


@pytest.fixture(scope="module")
def experiment():
    return Experiment.of(parse_spec(SPEC))


@pytest.fixture(scope="module")
def run(experiment, tmp_path_factory):
    """A run as training leaves it, with numbers of NumPy's: averages and weights differ, nothing is zero."""
    rng = np.random.default_rng(0)
    with create_run(experiment.spec, tmp_path_factory.mktemp("run") / "run") as run:
        for stage in (1, 2):
            state = jax.tree.map(lambda like: drawn(like, rng), experiment.program(stage).abstract_state)
            with Checkpoints(run.checkpoints(stage)) as checkpoints:
                checkpoints.save(40, state, checkpoint_manifest(experiment.spec, stage))
            run.mark_finished(f"stage{stage}")
        directory = run.directory
    with Run.open(directory) as run:
        yield run


@pytest.fixture(scope="module")
def weights(run, experiment):
    return weights_of(run, experiment)


@pytest.fixture(scope="module")
def file(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(path, weights)
    return path


def leaves(modules):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(modules) if isinstance(leaf, jax.Array | np.ndarray)]


def test_averages_are_what_leaves(run, experiment, weights):
    state = experiment.program(2).abstract_state
    with Checkpoints(run.checkpoints(2), read_only=True) as checkpoints:
        ema, params = (checkpoints.restore_part(40, part, getattr(state, part)) for part in ("ema", "params"))
    table = np.asarray(weights.base.conditioners[0].table)
    np.testing.assert_array_equal(table, np.asarray(ema.conditioners[0].table))
    assert not np.array_equal(table, np.asarray(params.conditioners[0].table))


def test_names_are_parameter_paths_and_the_file_says_what_it_is(file, weights, run):
    from safetensors import safe_open

    arrays = load_file(str(file))
    assert {name.partition(".")[0] for name in arrays} == {"encoder", "decoder", "base_model"}
    np.testing.assert_array_equal(
        arrays["base_model.conditioners.0.table"], np.asarray(weights.base.conditioners[0].table)
    )
    with safe_open(str(file), framework="np") as opened:
        metadata = opened.metadata()
    assert metadata["format"] == FORMAT
    assert metadata["spec_hash"] == run.manifest_entry("spec_hash")
    assert json.loads(metadata["steps"]) == {"stage1": 40, "stage2": 40}


def test_there_and_back_is_the_same_to_the_bit(file, weights):
    back = load_weights(file)
    assert back.spec == weights.spec
    assert back.steps == weights.steps
    for old, new in ((weights.autoencoder, back.autoencoder), (weights.base, back.base)):
        for one, other in zip(leaves(old), leaves(new), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_run_of_weights_samples_as_the_run_that_they_are_from(run, experiment, file, tmp_path):
    assert main(["import", str(file), "--out", str(tmp_path / "again")]) == 0
    drawn = evaluation_of(run, experiment, 2, quiet=True).samples(4, 3)[0]
    with Run.open(tmp_path / "again") as again:
        assert again.finished() == ("stage1", "stage2")
        drawn_again = evaluation_of(again, Experiment.of(spec_of(again)), 2, quiet=True).samples(4, 3)[0]
    np.testing.assert_array_equal(drawn, drawn_again)


def rewritten(file, tmp_path, change):
    from safetensors import safe_open

    arrays = load_file(str(file))
    with safe_open(str(file), framework="np") as opened:
        metadata = opened.metadata()
    change(arrays, metadata)
    path = tmp_path / "changed.safetensors"
    save_file(arrays, str(path), metadata)
    return path


TABLE = "base_model.conditioners.0.table"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda a, m: a.pop(TABLE), f"{TABLE}: expected (11, 8) float32, not in"),
        (lambda a, m: a.update(more=a[TABLE]), "more: in the checkpoint as (11, 8) float32, not expected"),
        (
            lambda a, m: a.update({TABLE: a[TABLE][:5].copy()}),
            "saved (5, 8) float32, expected (11, 8) float32",
        ),
        (lambda a, m: a.update({TABLE: a[TABLE].astype(np.float16)}), "saved (11, 8) float16"),
        (lambda a, m: m.update(spec=m["spec"].replace("steps: 40", "steps: 41")), "but the weights are of"),
        (lambda a, m: m.update(format="pt"), "not weights that ulzoo exported: its format is pt"),
        (lambda a, m: m.pop("steps"), "its metadata cannot be read"),
    ],
)
def test_what_differs_is_refused_and_named(file, tmp_path, change, text):
    with pytest.raises(CheckpointError) as error:
        load_weights(rewritten(file, tmp_path, change))
    assert text in str(error.value)


def test_damaged_and_missing_files(file, tmp_path, capsys):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:-9])
    for path, text in ((cut, "cannot be read as safetensors"), (tmp_path / "none", "no such file")):
        assert main(["import", str(path), "--out", str(tmp_path / "out")]) == 2
        assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over(file, weights, tmp_path):
    before = file.read_bytes()
    with pytest.raises(RunError, match="is there already"):
        save_weights(file, weights)
    assert file.read_bytes() == before
    with pytest.raises(RunError, match=r"pip install 'ulzoo\[export\]'"):
        require_extra("no_such_module_of_that_name")


def test_an_autoencoder_alone_leaves_no_base_model(weights, tmp_path):
    from dataclasses import replace

    alone = replace(weights, base=None, steps={"stage1": 40})
    save_weights(tmp_path / "a.safetensors", alone)
    back = load_weights(tmp_path / "a.safetensors")
    assert back.base is None
    directory = run_from(back, tmp_path / "run")
    with Run.open(directory) as run:
        assert run.finished() == ("stage1",)


STRANGER = """
import json, sys
import numpy as np
from jax import export
folder, out = sys.argv[1:]
manifest = json.load(open(f"{folder}/manifest.json"))
call = {name: export.deserialize(open(f"{folder}/{f['file']}", "rb").read()).call
        for name, f in manifest["functions"].items()}
images = np.load(f"{out}/images.npy", allow_pickle=False)
index = np.arange(len(images), dtype=np.int32)
z = call["encode"](images)
back = call["decode"](z, np.int32(0), index)
drawn = call["sample"](np.int32(5), index[:3], index[:3])
np.savez(f"{out}/results.npz", z=z, back=back, drawn=drawn)
assert not [name for name in sys.modules if name.partition(".")[0] in ("ulzoo", "equinox", "optax")]
"""

# Other fusions in another program: rounding of float32; of images one grey level, where a value lies on an
# edge between two.
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}


def pictures():
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)


def test_a_process_without_ulzoo_encodes_decodes_and_samples_the_same(
    run, experiment, weights, tmp_path, capsys
):
    folder = tmp_path / "functions"
    assert main(["export", str(run.directory), str(folder), "--format", "stablehlo"]) == 0
    assert "sample, any batch, for cpu, cuda, tpu" in capsys.readouterr().out
    images = pictures()
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-c", STRANGER, str(folder), str(tmp_path)]
    subprocess.run(command, check=True, timeout=600)
    found = np.load(tmp_path / "results.npz", allow_pickle=False)

    z = jax.jit(jax.vmap(weights.autoencoder.encode))(to_model(images))
    np.testing.assert_allclose(found["z"], z, **ROUNDING)
    sampler = experiment.spec.sample.decoder_sampler.build(None, key=None)
    back = reconstruct(weights.autoencoder, images, keys_for(0, np.arange(5)), sampler)
    assert np.abs(found["back"].astype(int) - np.asarray(back).astype(int)).max() <= 1
    drawn = evaluation_of(run, experiment, 2, quiet=True).draw(3, np.arange(3, dtype=np.int32), 5)
    assert np.abs(found["drawn"].astype(int) - drawn.astype(int)).max() <= 1
    assert drawn.std() > 1


def test_weights_beside_the_programs(run, weights, tmp_path):
    folder = tmp_path / "functions"
    command = ["export", str(run.directory), str(folder), "--format", "stablehlo", "--separate-weights"]
    assert main(command) == 0
    held = load_file(str(folder / "weights.safetensors"))
    stage1 = {name: value for name, value in held.items() if not name.startswith("base_model.")}
    encode = export.deserialize((folder / "encode.stablehlo").read_bytes())
    z = encode.call(stage1, pictures())
    direct = jax.jit(jax.vmap(weights.autoencoder.encode))(to_model(pictures()))
    np.testing.assert_allclose(z, direct, **ROUNDING)
    doubled = {name: 2 * value for name, value in stage1.items()}
    assert not np.allclose(encode.call(doubled, pictures()), direct)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["weights"] == "separate"
    assert manifest["functions"]["encode"]["arguments"] == {
        "images": {"shape": ["b", 8, 8, 1], "dtype": "uint8"}
    }


def test_mistakes_on_the_command_line(run, tmp_path, capsys):
    for arguments, text in (
        ([str(tmp_path), "x"], "not a run directory"),
        ([str(run.directory), "x", "--separate-weights"], "is for --format stablehlo"),
    ):
        assert main(["export", *arguments]) == 2
        assert text in capsys.readouterr().err
