"""A run that encodes once, by itself, and trains its second stage on that."""

import shutil

import jax
import numpy as np
import pytest
from small_run import SPEC, finished_run, reset_second_stage, start, write_spec

import ulzoo
from ulzoo.bench.latents import some_latents
from ulzoo.blackbox.playing import Stage
from ulzoo.cli import main
from ulzoo.data.latents import LatentCache
from ulzoo.data.pipeline import batches
from ulzoo.encode_once import check_encode_once, latents_place
from ulzoo.errors import DataError, SpecError
from ulzoo.experiment import Experiment
from ulzoo.restoring import restore
from ulzoo.run import Run
from ulzoo.spec import parse_spec, spec_hash
from ulzoo.stages import spec_of

ONCE = {"stage2.encode_once": True}


@pytest.fixture(scope="module")
def second_stage(tmp_path_factory):
    """The finished run, with a second stage that was trained again on latents of its own."""
    run = tmp_path_factory.mktemp("once") / "run"
    shutil.copytree(finished_run().directory, run)
    shutil.rmtree(run / "checkpoints" / "stage2")
    reset_second_stage(run, "encode_once: false", "encode_once: true")
    stale = run / "latents" / "0123456789ab"
    stale.mkdir(parents=True)
    (stale / "manifest.json").write_text("{}")
    process = start("train", run, "--stage", "2")
    output, error = process.communicate(timeout=600)
    assert process.returncode == 0, error[-2000:]
    return run, output


def losses(directory):
    with Run.open(directory) as opened:
        return [record.value for record in opened.records() if record.name == "stage2/train/loss"]


def test_the_losses_are_those_of_a_stage_that_encodes(second_stage):
    run, output = second_stage
    (folder,) = (run / "latents").iterdir()  # what another autoencoder left is gone
    assert "stage 2: encoded 1438 records, " in output
    assert f"stage 2: on latents from {folder}" in output
    assert LatentCache(folder).is_exact()
    got, want = losses(run), losses(finished_run().directory)
    assert len(got) >= 8
    # Forty steps of Adam, whose first divide by gradients that are all rounding: differences grow.
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_it_goes_on_without_encoding_again(second_stage, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(second_stage[0], run)
    *_, before, last = sorted((run / "checkpoints" / "stage2").iterdir())
    shutil.rmtree(last)
    reset_second_stage(run)
    assert main(["train", str(run), "--stage", "2"]) == 0
    output = capsys.readouterr().out
    assert f"stage 2: continuing at step {int(before.name[5:])} of 40" in output
    assert "encoded" not in output
    assert losses(run) == losses(second_stage[0])


def test_a_step_is_played_again_on_them(second_stage):
    with Run.open(second_stage[0]) as run:
        experiment = Experiment.of(spec_of(run))
        autoencoder, _ = restore(run, experiment, 1)
        stage = Stage(run, experiment, 2, experiment.program(2, autoencoder), autoencoder)
        assert {"latent", "index"} <= set(stage.batch(3))
        place = latents_place(run, experiment, autoencoder)
        assert place == next((second_stage[0] / "latents").iterdir())


def test_resuming_is_exact_with_it(tmp_path, capsys):
    path = write_spec(tmp_path)
    path.write_text(path.read_text().replace("stage2:\n  {", "stage2:\n  {encode_once: true, "))
    assert ulzoo.load_spec(path).stage2.encode_once
    assert main(["verify-resume", str(path), "--stage", "2", "--steps", "4"]) == 0
    assert "stage 2: resuming is exact" in capsys.readouterr().out


def test_what_a_run_cannot_encode_once_is_told_before_it_trains(tmp_path, capsys):
    moving = "{type: ulzoo.moving_digits.v1, size: 8, frames: 2, digit_size: 8}"
    text = SPEC.replace("{type: ulzoo.digits.v1, size: 8}", moving)
    path = tmp_path / "moving.yaml"
    path.write_text(text)
    assert main(["run", str(path), "--set", "stage2.encode_once=true", "--out", str(tmp_path / "run")]) != 0
    told = capsys.readouterr()
    assert "stage2.encode_once: this data draws something new of a record each time" in told.err
    assert "--draws N" in told.err
    assert "compiling" not in told.out


def test_one_of_the_two_places(tmp_path):
    with pytest.raises(SpecError, match="latents names a folder already: give one of the two"):
        parse_spec(SPEC, overrides={**ONCE, "stage2.latents": "anywhere"})
    assert spec_hash(parse_spec(SPEC, overrides=ONCE)) == spec_hash(parse_spec(SPEC))


def test_several_processes_are_refused(monkeypatch):
    experiment = Experiment.of(parse_spec(SPEC, overrides=ONCE))
    check_encode_once(experiment)
    monkeypatch.setattr("ulzoo.encode_once.several", lambda: True)
    with pytest.raises(DataError, match="encodes in one process, and this run has several"):
        check_encode_once(experiment)


def test_the_bench_reads_latents_too(tmp_path):
    experiment = Experiment.of(parse_spec(SPEC, overrides=ONCE))
    autoencoder = jax.jit(experiment.assembly.autoencoder)(jax.random.key(0))
    cache = some_latents(experiment, autoencoder, tmp_path / "some")
    assert len(cache.open("train")) == 1024
    with batches(cache, batch_size=8, seed=0) as stream:
        assert set(experiment.program(2).abstract_batch) <= set(next(stream))


def test_the_data_is_opened_once(second_stage, tmp_path, monkeypatch):
    """Listing a folder of millions takes its time."""
    shutil.copytree(second_stage[0], tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "latents")
    from ulzoo.data.digits import DigitsConfig
    from ulzoo.encode_once import encode_if_asked

    opened, real = [], DigitsConfig.open
    monkeypatch.setattr(DigitsConfig, "open", lambda self, split: opened.append(split) or real(self, split))
    said = []
    with Run.open(tmp_path / "run") as run:
        experiment = Experiment.of(spec_of(run))
        autoencoder, _ = restore(run, experiment, 1)
        place = encode_if_asked(run, experiment, autoencoder, said.append)
        assert opened == ["train"]
        assert place == latents_place(run, experiment, autoencoder)
    assert said[0].startswith("stage 2: encoded 1438 records, ")


def test_a_source_that_inherits_no_defaults_is_taken_as_random():
    from ulzoo.data.latents import DRAWS, views_for

    class Bare:
        def __len__(self):
            return 1

    assert views_for(Bare()) == DRAWS
