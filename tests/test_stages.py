"""Parts of a run: what is compiled, what is told, what is checked."""

import json
import re
import shutil
from collections import Counter

import numpy as np
import pytest
from small_run import SPEC, finished_run, start, without, write_spec

from ulzoo.cli import main
from ulzoo.data.pipeline import batches
from ulzoo.errors import SpecError
from ulzoo.experiment import Experiment, check_fit
from ulzoo.images import write_png
from ulzoo.metrics.base import Record
from ulzoo.records import Record as Line
from ulzoo.restoring import restore
from ulzoo.run import Run
from ulzoo.spec import parse_spec, spec_hash
from ulzoo.stages import collapse, create_run, describe, evaluation_of, parts_of, run_all, spec_of
from ulzoo.training import train_stage


def test_a_run_compiles_each_program_once():
    lines = re.findall(r"Finished XLA compilation of jit\((\w+)\)", finished_run().stderr)
    counts = Counter(lines)
    # One for each stage; nothing again after the first step, for measuring, or for drawing the samples.
    assert counts["step"] == 2
    assert counts["init"] == 2
    assert counts["rates"] == counts["noisy_latents"] == counts["sample_latents"] == 1
    # Reconstructions and samples are decoded by the same one.
    assert counts["_decode"] == 1


def test_a_run_tells_its_parts_and_numbers():
    lines = finished_run().stdout.splitlines()
    assert lines[0] == f"run directory: {finished_run().directory}"
    assert re.fullmatch("spec [0-9a-f]{12}", lines[1])
    assert lines[2] == "stage 1: compiling, then 40 steps of 8"
    assert re.fullmatch(r"stage1/heldout/bits_per_pixel = .* bits/pixel  \[.*\]  \(upper bound\)", lines[3])
    assert "stage 2: compiling, then 40 steps of 8" in lines
    assert lines[-3] == f"12 samples: {finished_run().directory / 'samples' / 'grid.png'}"
    # The page itself is tested where it is made; without the extra, one line says how to get it.
    assert re.match(r"report: |no report: it needs pip install", lines[-2])
    assert re.fullmatch(r"done in \d+ s: .*", lines[-1])
    progress = re.search(r"^stage 1: 40/40 steps in .*$", finished_run().stderr, re.M)[0]
    assert re.search(r"steps/s  [\d.]+ images/s  loss [\d.]+  bits/pixel [\d.]+$", progress)


def test_a_number_names_the_records_that_it_is_of():
    """Of each split that it has looked at, and no other; examples too. Digits know theirs by their pixels."""
    digits = parse_spec(SPEC).data
    splits = {}
    for record in map(json.loads, (finished_run().directory / "metrics.jsonl").read_text().splitlines()):
        if "steps" not in record["protocol"] and "/validation/" not in record["name"]:
            found = record["protocol"]["records"]
            splits[record["name"]] = sorted(found)
            assert found == {split: digits.open(split).fingerprint() for split in found}
    assert splits["stage1/heldout/bits_per_pixel"] == splits["stage1/heldout/psnr"] == ["heldout"]
    assert splits["stage1/heldout/examples/psnr"] == ["heldout"]
    assert splits["stage2/heldout/pca_frechet"] == ["heldout", "train"]
    assert splits["stage2/train/conditional_accuracy"] == ["heldout", "train"]


def test_a_number_names_the_hardware_that_it_was_measured_on(tmp_path):
    directory = shutil.copytree(finished_run().directory, tmp_path / "run")
    path = directory / "manifest.json"
    path.write_text(path.read_text().replace("cpu:cpu", "tpu:elsewhere"))
    with Run.open(directory) as run:
        assert "tpu:elsewhere" in run.manifest_entry("hardware")["devices"]
        how = evaluation_of(run, Experiment.of(spec_of(run)), 1).protocol
    assert "cpu:cpu" in how["hardware"]
    assert "elsewhere" not in how["hardware"]


def test_stage_2_trains_on_the_weights_that_were_looked_at_for_damage(tmp_path, monkeypatch):
    """Restored once, not once to be looked at and once to be used."""
    directory = shutil.copytree(finished_run().directory, tmp_path / "run")
    restored = []

    def counted(run, experiment, stage, *which):
        restored.append(stage)
        return restore(run, experiment, stage, *which)

    for place in ("ulzoo.stages.restore", "ulzoo.training.restore"):
        monkeypatch.setattr(place, counted)
    with Run.open(directory, write=True) as run:
        run.mark_unfinished("stage2")
        run_all(run, Experiment.of(spec_of(run)), say=lambda line: None)
        assert "stage2" in run.finished()
    assert restored == [1]


def test_parts_follow_the_stages():
    both, first = parse_spec(SPEC), parse_spec(SPEC, overrides={"base_model": None, "stage2": None})
    assert parts_of(both) == ["stage1", "evaluate1", "stage2", "evaluate2", "samples"]
    assert parts_of(both, (1,)) == parts_of(first) == ["stage1", "evaluate1"]
    assert parts_of(both, (2,)) == ["stage2", "evaluate2", "samples"]


def test_stage_1_may_train_on_other_data(tmp_path):
    other = {"stage1.data": {"type": "ulzoo.moving_digits.v1", "size": 8, "digit_size": 8, "frames": 1}}
    with pytest.raises(SpecError, match=r"stage1\.data: examples are \(1, 1, 8, 8\), but those of data are"):
        check_fit(parse_spec(SPEC, overrides=other))
    plain = parse_spec(SPEC)
    pytest.importorskip("skimage")
    spec = parse_spec(
        SPEC, overrides={"stage1.data": {"type": "ulzoo.photographs.v1", "size": 8, "channels": 1}}
    )
    assert spec_hash(spec) != spec_hash(plain) == spec_hash(parse_spec(SPEC, overrides={"stage1.data": None}))
    experiment = Experiment.of(spec)
    assert experiment.training_data(2) is experiment.data is spec.data
    seen = []
    with create_run(spec, tmp_path / "run") as run:
        train_stage(
            run, experiment, 1, lambda line: None, until=1, watch=lambda step, batch: seen.append(batch)
        )
    with batches(spec.stage1.data, batch_size=8, seed=0, threads=0) as stream:
        expected = next(stream)["image"]
    np.testing.assert_array_equal(seen[0]["image"], expected)


def test_programs_are_made_once_and_a_second_stage_without_modules_has_shapes():
    experiment = Experiment.of(parse_spec(SPEC))
    assert experiment.program(1) is experiment.program(1)
    assert experiment.program(2) is experiment.program(2)
    assert experiment.program(2).abstract_state.step.shape == ()


@pytest.mark.parametrize(("rate", "collapsed"), [(0.049, True), (0.051, False)])
def test_a_rate_near_zero_is_a_record_of_its_own(rate, collapsed):
    measured = [
        Record("stage1/heldout/psnr", 10.0, "dB", {}),
        Record("stage1/heldout/bits_per_latent_dim", rate, "bits/dimension", {"rate": "upper bound"}),
    ]
    evaluation = type("Evaluation", (), {"stage": 1, "pixels": 64, "latent_shape": (2, 4, 4)})()
    found = collapse(measured, evaluation, [])
    assert [record.name for record in found] == ["stage1/heldout/collapsed"] * collapsed
    # Without a rate among the metrics, the last one of training: 64 pixels in 32 dimensions.
    trained = [Line(1, "stage1", "stage1/train/bits_per_pixel", value, "", {}) for value in (9.0, rate / 2)]
    found = collapse(measured[:1], evaluation, trained)
    assert [record.name for record in found] == ["stage1/train/collapsed"] * collapsed
    assert collapse([], type("Evaluation", (), {"stage": 2})(), trained) == []


def test_one_line_for_a_number():
    record = Record("stage1/heldout/nats", 1.23456, "nats", {"rate": "proxy"}, (1.0, 2.0))
    assert describe(record) == "stage1/heldout/nats = 1.235 nats  [1, 2]  (proxy)"


def test_a_collapsed_latent_is_told_loudly(tmp_path, capsys):
    directory = shutil.copytree(finished_run().directory, tmp_path / "run")
    path = directory / "metrics.jsonl"
    # The metrics measured now are none of rate: the training's last record speaks.
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    last = max(i for i, line in enumerate(lines) if line["name"] == "stage1/train/bits_per_pixel")
    lines[last]["value"] = 0.001
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    resolved = directory / "resolved.yaml"
    psnr = "evaluate:\n- {type: ulzoo.psnr.v1, count: 8}\n"
    resolved.write_text(re.sub(r"(?ms)^evaluate:.*?(?=^\w)", psnr, resolved.read_text()))
    assert main(["evaluate", str(directory), "--stage", "1"]) == 0
    assert (
        "WARNING: THE LATENT HAS COLLAPSED: it holds next to nothing of the image\n"
        in capsys.readouterr().out
    )
    record = json.loads(path.read_text().splitlines()[-1])
    assert (record["name"], record["value"]) == ("stage1/train/collapsed", 1.0)


def only_first_stage(text):
    """SPEC without its second stage."""
    text = without(text, "base_model", "stage2")
    return text[: text.index("  - {type: ulzoo.psnr")]


def test_a_first_stage_alone_on_damaged_pictures_that_collapses(tmp_path):
    """One process for three things: no second stage, damaged files passed over, a warning of collapse."""
    rng = np.random.default_rng(0)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(40):
        write_png(pictures / f"{i:02d}.png", rng.integers(0, 256, (8, 8, 1), dtype=np.uint8))
    (pictures / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    data = f"root: {pictures}, size: 8, channels: 1, labels: none, corrupt: skip"
    data = f"{{type: ulzoo.image_folder.v1, {data}}}"
    text = only_first_stage(SPEC).replace("{type: ulzoo.digits.v1, size: 8}", data)
    text = text.replace("embedding_width: 8}\n", "embedding_width: 8}\n  loss_factor: 0.01\n", 1)
    # Predicting x, an untrained network says zero: what an encoder that gives up makes right.
    network = "network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, embedding_width: 8}"
    prior = f"{{type: ulzoo.diffusion_prior.v1, prediction: x, {network}}}"
    text = text.replace("{type: ulzoo.normal_prior.v1}", prior)
    text = text.replace("steps: 40", "steps: 200").replace("learning_rate: 1e-3", "learning_rate: 1e-2")
    process = start("run", write_spec(tmp_path, text), "--out", tmp_path / "run")
    output, error = process.communicate(timeout=200)
    assert process.returncode == 0, error[-2000:]
    assert "WARNING: THE LATENT HAS COLLAPSED" in output
    assert "1 damaged record was replaced: damaged.png" in output
    with Run.open(tmp_path / "run") as run:
        assert run.finished() == ("stage1", "evaluate1")
        names = [record.name for record in run.records()]
        met = [record for record in run.records() if record.name == "stage1/train/damaged_records"]
    assert (met[-1].value, list(met[-1].extra["names"])) == (1, ["damaged.png"])
    assert "stage1/heldout/collapsed" in names
    assert not any(name.startswith("stage2") for name in names)
    assert not (tmp_path / "run" / "samples" / "grid.png").exists()


def test_a_loss_that_explodes_ends_the_run_with_advice(tmp_path):
    path = write_spec(tmp_path, SPEC.replace("learning_rate: 1e-3", "learning_rate: 1e30", 1))
    process = start("run", path, "--out", tmp_path / "run")
    _, error = process.communicate(timeout=200)
    assert process.returncode == 2
    message = re.search(r"^stage1: .*(\n    .*)*", error, re.M)[0].splitlines()
    assert re.fullmatch(r"stage1: the (loss|norm of the gradient) is (nan|inf) at step \d", message[0])
    assert message[1:3] == [
        "    try a smaller learning rate, a longer warm-up, or precision: float32",
        "    there is no checkpoint from before",
    ]
    # Which of the modules is first depends on rounding.
    assert re.fullmatch(r"    first value that is not finite: [a-z_0-9.]+, in the .*", message[3])
    (box,) = (tmp_path / "run" / "blackbox").iterdir()
    again = f"    play it again with: ulzoo replay {tmp_path / 'run'}"
    assert message[4:] == [f"    black box: {box}", again]
    assert list((tmp_path / "run" / "checkpoints" / "stage1").iterdir()) == []
