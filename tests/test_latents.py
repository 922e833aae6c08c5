"""Latents on disk stand in for encoding: the same numbers, the same order, or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_run import SPEC, finished_run, reset_second_stage, start
from stored_pictures import as_folder, as_tar

from ulzoo.assemble import assemble
from ulzoo.autoencoder import Autoencoder
from ulzoo.blackbox.playing import Stage
from ulzoo.cli import main
from ulzoo.data.collections.array_record import Shards, unpack
from ulzoo.data.latents import LatentCache, from_bytes, to_bytes
from ulzoo.data.pipeline import batches
from ulzoo.encoding import check_latents, encode, records_at, stage2_data
from ulzoo.errors import DataError
from ulzoo.experiment import Experiment
from ulzoo.parallel.mesh import make_mesh, put_batch
from ulzoo.programs.program import to_model
from ulzoo.programs.stage2 import stage2
from ulzoo.restoring import restore
from ulzoo.run import Run
from ulzoo.spec import parse_spec, spec_hash
from ulzoo.stages import spec_of


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


DIGITS = "{type: ulzoo.digits.v1, size: 8}"


def spec_on(data=DIGITS, **changes):
    return parse_spec(SPEC.replace(DIGITS, data), overrides=changes)


@pytest.fixture(scope="module")
def made():
    """Two encoders on digits; prior and decoder have no part in this."""
    one = encoder_of(spec_on())
    return one, jax.tree.map(lambda leaf: leaf * 2 if eqx.is_array(leaf) else leaf, one)


def encoder_of(spec):
    assembly = assemble(spec)
    encoder = assembly.makers["encoder"](jax.random.key(0))
    return Autoencoder(encoder, None, None, assembly.log_snr, assembly.noise)


def encoded(spec, autoencoder, out, *, split="train", source=None, **options):
    source = spec.data.open(split) if source is None else source
    fields = {"split": split, "shards": 2, "mesh": make_mesh(), **options}
    encode(spec, autoencoder, source, out, **fields)
    return LatentCache(out)


def test_a_step_on_latents_is_a_step_on_images(made, tmp_path):
    autoencoder, _ = made
    spec = spec_on(**{"base_model.network.dropout": 0.0})
    cache = encoded(spec, autoencoder, tmp_path / "out")
    assembly = assemble(spec)
    program = stage2(assembly, spec.stage2, autoencoder)
    losses = {}
    for name, data in (("images", spec.data), ("latents", cache)):
        state, losses[name] = program.init(jax.random.key(2)), []
        with batches(data, batch_size=8, seed=3) as stream:
            for _ in range(4):
                state, metrics = program.step(state, put_batch(next(stream), program.mesh))
                losses[name].append([float(metrics[k]) for k in ("loss", "squared_error", "gradient_norm")])
    # Not bit for bit: the encoder is one program here and a part of the step there, and XLA adds up the
    # same float32 numbers in another order.
    np.testing.assert_allclose(losses["latents"], losses["images"], rtol=1e-5)


def test_learned_noise_is_drawn_on_reading(tmp_path):
    spec = spec_on(**{"latent.noise": "learned"})
    autoencoder = encoder_of(spec)
    cache = encoded(spec, autoencoder, tmp_path / "out")
    latents, images = cache.open("train"), spec.data.open("train")
    assert cache.manifest["shape"] == [1, 4, 4, 4]
    assert len(cache.manifest["mean"]) == 2  # of z_clean's mean alone
    key = jax.random.key(5)
    for index in (0, 700):
        x = to_model(jnp.asarray(images[index]["image"])[None])[0]
        want, _ = autoencoder.sample_clean(x, key, key, inference=True)
        got = autoencoder.sample_stored(jnp.asarray(latents[index]["latent"]), key)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_mirrored_copies_are_drawn_when_the_pictures_would_be(tmp_path):
    """With equal seeds the streams agree record by record, mirror image by mirror image."""
    rng = np.random.default_rng(0)
    from PIL import Image

    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(12):
            image = Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8))
            image.save(tmp_path / "data" / label / f"{number}.png")
    data = f"{{type: ulzoo.image_folder.v1, root: {tmp_path / 'data'}, size: 8, channels: 1, flip: true}}"
    spec = spec_on(data)
    autoencoder = encoder_of(spec)
    with pytest.raises(DataError, match=r"needs the views 'plain and mirrored', not 'plain': give --flip"):
        encoded(spec, autoencoder, tmp_path / "plain")
    cache = encoded(spec, autoencoder, tmp_path / "out", flip=True, batch_size=5)
    check_latents(cache, spec, autoencoder, spec.data.open("train"))
    mirrored = 0
    moments = jax.jit(jax.vmap(autoencoder.encode))
    with (
        batches(spec.data, batch_size=6, seed=1) as pictures,
        batches(cache, batch_size=6, seed=1) as latents,
    ):
        for _ in range(5):
            one, other = next(pictures), next(latents)
            for name in ("index", "label"):
                np.testing.assert_array_equal(one[name], other[name])
            want = moments(to_model(jnp.asarray(one["image"])))
            np.testing.assert_allclose(other["latent"], want, rtol=1e-5, atol=1e-6)
            plain = [cache.open("train")[int(i)]["latent"] for i in other["index"]]
            mirrored += sum(not np.array_equal(a, b) for a, b in zip(plain, other["latent"], strict=True))
    assert 5 < mirrored < 25  # of 30: a fair coin leaves this range once in 10⁴ tries
    random = spec_on(data.replace("flip: true", "flip: true, crop: random"))
    with pytest.raises(DataError, match="needs the views 'draws'"):
        encoded(random, autoencoder, tmp_path / "random", flip=True)
    drawn = encoded(random, autoencoder, tmp_path / "draws", draws=3)
    assert drawn.manifest["shape"][0] == 3
    assert not drawn.is_exact()
    views = {drawn.open("train").draw(0, np.random.default_rng(s))["latent"].tobytes() for s in range(30)}
    assert 1 < len(views) <= 3


def test_what_latents_are_of_is_held_to(made, tmp_path):
    autoencoder, other = made
    spec = spec_on()
    cache = encoded(spec, autoencoder, tmp_path / "out")
    source = spec.data.open("train")
    check_latents(cache, spec, autoencoder, source)
    with pytest.raises(DataError, match=r"something else:\n    encoder: [0-9a-f]{12}, not [0-9a-f]{12}$"):
        check_latents(cache, spec, other, source)
    with pytest.raises(DataError, match=r"preprocessing\.size: 8, not 16"):
        check_latents(cache, spec_on("{type: ulzoo.digits.v1, size: 16}"), autoencoder, source)
    with pytest.raises(DataError, match=r"precision: \"float32\", not \"bfloat16\""):
        check_latents(cache, spec_on(precision="bfloat16"), autoencoder, source)
    with pytest.raises(DataError, match=r"data\.fingerprint: (.|\n)*data\.records: 1438, not 359"):
        check_latents(cache, spec, autoencoder, spec.data.open("heldout"))
    heldout = encoded(spec, autoencoder, tmp_path / "heldout", split="heldout")
    with pytest.raises(DataError, match=r'data\.split: "heldout", not "train"'):
        check_latents(heldout, spec, autoencoder, source)
    with pytest.raises(DataError, match="holds the split 'heldout', not 'train'"):
        heldout.open("train")
    with pytest.raises(DataError, match=r"holds no manifest\.json"):
        LatentCache(tmp_path)


def test_statistics_and_numbers_on_disk(made, tmp_path):
    autoencoder, _ = made
    spec = spec_on()
    exact = encoded(spec, autoencoder, tmp_path / "a")
    short = encoded(spec, autoencoder, tmp_path / "b", dtype="bfloat16", shards=3, batch_size=100)
    source, rounded = exact.open("train"), short.open("train")
    latents = np.stack([source[i]["latent"] for i in range(len(source))]).astype(np.float64)
    pictures = spec.data.open("train")
    images = np.stack([pictures[i]["image"] for i in range(len(source))])
    want = jax.jit(jax.vmap(autoencoder.encode))(to_model(jnp.asarray(images)))
    np.testing.assert_allclose(latents, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(exact.manifest["mean"], latents.mean((0, 2, 3)), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(exact.manifest["std"], latents.std((0, 2, 3)), rtol=1e-6)
    # bfloat16 has eight bits of significand, of which rounding loses at most half the last: 2⁻⁸ of a value
    # just above a power of two. A little more, for batches of other sizes add up in another order.
    near = np.stack([rounded[i]["latent"] for i in range(len(source))])
    np.testing.assert_allclose(near, latents, rtol=2**-8 * 1.01, atol=1e-6)
    # Of the numbers alone: these latents are so small that most of a file is what stands around them.
    assert (rounded.views(0).size, source.views(0).size) == (32, 32)
    stored = [len(unpack(Shards(list(cached._records.files))[0])[1]) for cached in (rounded, source)]
    assert stored == [2 * 32, 4 * 32]
    assert not short.is_exact()
    assert exact.is_exact()


def test_bfloat16_is_read_as_jax_reads_it():
    values = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4)), jnp.bfloat16)
    got = from_bytes(to_bytes(np.asarray(values).view(np.uint16)), (2, 3, 4), "bfloat16")
    np.testing.assert_array_equal(got, np.asarray(values, np.float32))


def test_an_interrupted_cache_goes_on(made, tmp_path):
    autoencoder, other = made
    spec = spec_on()
    whole = encoded(spec, autoencoder, tmp_path / "whole", shards=5)
    done = []

    def stop(steps):
        done.append(steps)
        if sum(done) == 700:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoded(spec, autoencoder, tmp_path / "out", shards=5, advance=stop)
    with pytest.raises(DataError, match="not finished"):
        LatentCache(tmp_path / "out")
    with pytest.raises(DataError, match="begun from something else; choose another folder\n    encoder: "):
        encoded(spec, other, tmp_path / "out", shards=5)
    assert (
        encoded(spec, autoencoder, tmp_path / "out", shards=5).manifest["sha256"] == whole.manifest["sha256"]
    )


def test_captions_and_pictures_from_elsewhere(tmp_path):
    data = f"{{type: ulzoo.image_folder.v1, root: {as_folder(tmp_path)}, size: 8, channels: 1}}"
    spec = spec_on(data)
    autoencoder = encoder_of(spec)
    source = records_at(str(as_tar(tmp_path)), spec.data)
    cache = encoded(spec, autoencoder, tmp_path / "out", split="all", source=source)
    found = cache.open("all")
    assert {(found.record_name(i), found.caption(i)) for i in range(12)} == {
        (source.record_name(i), source.caption(i)) for i in range(12)
    }
    assert [str(found[i]["caption"]) for i in range(12)] == [found.caption(i) for i in range(12)]
    assert cache.manifest["captions"] == 12
    with pytest.raises(DataError, match=r"ulzoo\.digits\.v1, is no dataset of stored pictures"):
        records_at(str(tmp_path), spec_on().data)


def test_conditions_on_the_example_itself_cannot_be_met(tmp_path):
    conditioner = SimpleNamespace(type="acme.frames.v1", gives_frames=True)
    spec = SimpleNamespace(data=None, base_model=SimpleNamespace(conditioners=(conditioner,)))
    with pytest.raises(DataError, match=r"acme\.frames\.v1 conditions on the examples themselves"):
        stage2_data(spec, str(tmp_path), None)


def test_where_latents_lie_is_no_part_of_a_spec_that_defines_weights():
    assert spec_hash(spec_on(**{"stage2.latents": "anywhere"})) == spec_hash(spec_on())


@pytest.fixture(scope="module")
def cached_run(tmp_path_factory):
    """The finished run's latents, and its second stage trained again on them."""
    folder = tmp_path_factory.mktemp("latents")
    run, out = folder / "run", folder / "out"
    shutil.copytree(finished_run().directory, run)
    assert main(["encode", str(run), "train", str(out), "--shards", "2"]) == 0
    shutil.rmtree(run / "checkpoints" / "stage2")
    reset_second_stage(run, "latents: null", f"latents: {out}")
    process = start("train", run, "--stage", "2")
    output, error = process.communicate(timeout=600)
    return run, out, process.returncode, output, error


def test_a_stage_on_latents_has_the_losses_of_one_that_encodes(cached_run):
    run, out, status, output, error = cached_run
    assert status == 0, error[-2000:]
    assert f"stage 2: on latents from {out}" in output

    def losses(directory: Path):
        with Run.open(directory) as opened:
            found = [r for r in opened.records() if r.name == "stage2/train/loss"]
        return [record.step for record in found], [record.value for record in found]

    steps, got = losses(run)
    encoding_steps, want = losses(finished_run().directory)
    assert steps == encoding_steps
    assert len(steps) >= 8
    # Forty steps of Adam, whose first divide by gradients that are all rounding: differences grow.
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_what_was_begun_on_exact_latents_goes_on_with_what_they_are_of(cached_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(cached_run[0], run)
    *_, before, last = sorted((run / "checkpoints" / "stage2").iterdir())
    shutil.rmtree(last)
    reset_second_stage(run, f"latents: {cached_run[1]}", "latents: null")
    assert main(["train", str(run), "--stage", "2"]) == 0
    output = capsys.readouterr().out
    assert f"stage 2: continuing at step {int(before.name[5:])} of 40" in output
    assert "on latents" not in output


def test_a_step_on_latents_is_played_again(cached_run):
    with Run.open(cached_run[0]) as run:
        experiment = Experiment.of(spec_of(run))
        autoencoder, _ = restore(run, experiment, 1)
        stage = Stage(run, experiment, 2, experiment.program(2, autoencoder), autoencoder)
        *_, before, last = sorted(int(step.name[5:]) for step in run.checkpoints(2).iterdir())
        assert {"latent", "index"} <= set(stage.batch(last))
        again, trained = stage.state_after(last, before), stage.state_after(last, last)
    for one, other in zip(jax.tree.leaves(again), jax.tree.leaves(trained), strict=True):
        np.testing.assert_array_equal(raw(one), raw(other))


def raw(leaf):
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)


def test_check_tells_what_latents_are(cached_run, capsys):
    _, out, *_ = cached_run
    assert main(["data", "check", str(out)]) == 0
    output = capsys.readouterr().out
    for words in (
        "latents of 1438 records, 1 × (2, 4, 4) float32 (plain)",
        "bytes a record",
        "records/s",
        "mean ±",
    ):
        assert words in output


@pytest.mark.parametrize("option", [["--out", "x"], ["--against", "x"], ["--max-pixels", "9"]])
def test_what_check_does_with_pictures_alone_is_refused_of_latents(cached_run, option, capsys):
    assert main(["data", "check", str(cached_run[1]), *option]) == 2
    assert f"holds latents, of which `data check` takes no {option[0]}" in capsys.readouterr().err


def test_damaged_latents_are_found(cached_run, tmp_path, capsys):
    _, out, *_ = cached_run
    shutil.copytree(out, tmp_path / "out")
    path = tmp_path / "out" / "data-00000-of-00002.array_record"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert main(["data", "check", str(tmp_path / "out")]) == 1
    assert "its content has changed" in capsys.readouterr().out


def test_a_run_refuses_the_latents_of_another(cached_run, tmp_path, capsys, made):
    run, *_ = cached_run
    encoded(spec_on(), made[0], tmp_path / "other")
    text = (run / "resolved.yaml").read_text()
    shutil.copytree(run, tmp_path / "run")
    lines = [f"  latents: {tmp_path / 'other'}" if "latents:" in line else line for line in text.splitlines()]
    (tmp_path / "run/status.json").write_text(json.dumps({"finished": ["stage1", "evaluate1"]}))
    (tmp_path / "run/resolved.yaml").write_text("\n".join(lines) + "\n")
    assert main(["train", str(tmp_path / "run"), "--stage", "2"]) == 2
    error = capsys.readouterr().err
    assert "holds latents of something else:\n    encoder: " in error
