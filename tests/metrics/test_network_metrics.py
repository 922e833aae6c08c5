"""Metrics that look through a network, end to end: from a spec and a file of weights to records of a run."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from fake_evaluation import FakeEvaluation
from small_run import SPEC, finished_run

from ulzoo import evaluation
from ulzoo.cli import main
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import DataIO
from ulzoo.metrics import reference_cache
from ulzoo.metrics.clip_score import write_random_clip
from ulzoo.metrics.dinov2_features import write_random_dinov2
from ulzoo.metrics.fid import FIDConfig
from ulzoo.metrics.inception_features import InceptionFeatures, write_random_inception
from ulzoo.metrics.kid import KIDConfig
from ulzoo.metrics.lpips import write_random_lpips
from ulzoo.records import parse_record
from ulzoo.weights.reading import sha256_of
from ulzoo.weights.safetensors_file import write_safetensors


@pytest.fixture(scope="module")
def weights(folder):
    return write_random_inception(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def measured(weights, folder, tmp_path_factory):
    """Records by name of a run whose spec asks for every one of these metrics."""
    pytest.importorskip("tokenizers", reason="the extra `clip` is not installed")
    dinov2 = {"weights": write_random_dinov2(folder), "side": 28}
    lpips, clip = write_random_lpips(folder, "alex"), write_random_clip(folder)
    digits = [f"a photo of the digit {digit}" for digit in range(10)]
    folder = tmp_path_factory.mktemp("run") / "run"
    shutil.copytree(finished_run().directory, folder)
    features = {"weights": weights}
    spec = yaml.safe_load((folder / "resolved.yaml").read_text())
    spec["evaluate"] = [
        {"type": "ulzoo.rfid.v1", "features": features, "count": 20, "resamples": 3},
        {"type": "ulzoo.fid.v1", "features": features, "count": 24, "real_count": 40, "resamples": 3},
        {"type": "ulzoo.kid.v1", "features": features, "count": 24, "real_count": 40, "subset_size": 10},
        {"type": "ulzoo.inception_score.v1", "features": features, "count": 20, "splits": 4},
        {"type": "ulzoo.precision_recall.v1", "features": features, "count": 24, "real_count": 40},
        {"type": "ulzoo.density_coverage.v1", "features": features, "count": 24, "real_count": 40},
        {"type": "ulzoo.fd_dinov2.v1", "features": dinov2, "count": 24, "real_count": 40, "resamples": 2},
        {"type": "ulzoo.rfd_dinov2.v1", "features": dinov2, "count": 20, "resamples": 0},
        {"type": "ulzoo.lpips.v1", **lpips, "resize": 32, "count": 20},
        {"type": "ulzoo.ssim.v1", "window": 7, "count": 20},
        {"type": "ulzoo.clip_score.v1", **clip, "prompts": digits, "count": 24},
    ]
    spec["evaluate"].append({"type": "ulzoo.psnr.v1", "count": 20})
    (folder / "resolved.yaml").write_text(yaml.safe_dump(spec))
    before = len((folder / "metrics.jsonl").read_text().splitlines())
    made = Counter()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("reconstruct", "generate"):
            patch.setattr(evaluation, name, counted(getattr(evaluation, name), name, made))
        assert main(["evaluate", str(folder)]) == 0
    lines = (folder / "metrics.jsonl").read_text().splitlines()[before:]
    return {record.name: record for record in map(parse_record, lines)} | {"made": made}


def counted(function, name, made):
    def call(*arguments):
        made[name] += 1
        return function(*arguments)

    return call


def test_images_are_made_once_for_all_metrics(measured):
    """20 reconstructions and 24 samples, 16 at a time; six metrics look at the ones, seven at the others. The
    examples are among the reconstructions, or are made in one batch more."""
    assert measured["made"]["generate"] == 2
    assert measured["made"]["reconstruct"] <= 3


def test_every_metric_is_recorded(measured):
    names = {name for name in measured if "examples" not in name and name != "made"}
    stage2 = ("fid", "kid", "inception_score", "precision", "recall", "density", "coverage")
    stage2 += ("fd_dinov2", "clip_score")
    stage1 = {f"stage1/heldout/{name}" for name in ("rfid", "rfd_dinov2", "lpips", "ssim")}
    assert names >= {*stage1, *(f"stage2/train/{name}" for name in stage2)}
    for name in names:
        record = measured[name]
        assert record.interval is None or record.interval[0] <= record.value <= record.interval[1]
    assert measured["stage2/train/fid"].value > 0
    assert 1 <= measured["stage2/train/inception_score"].value <= 1008


def test_a_number_says_how_it_was_measured(measured, weights):
    how = measured["stage2/train/fid"].protocol
    assert how["features"]["weights"]["sha256"] == sha256_of(Path(weights))
    assert how["features"]["weights"]["known_as"] is None
    assert how["features"]["resize"] == "tensorflow"
    assert how["reference"]["of"] == "train images"
    assert (how["reference"]["images"], len(how["reference"]["sha256"])) == (40, 64)
    assert (how["images"], how["seed"]) == (24, 0)
    shared = {"spec_hash", "ema", "precision", "hardware", "training_steps", "sampler", "guidance", "data"}
    assert shared <= set(how)
    reconstructed = measured["stage1/heldout/rfid"].protocol
    assert reconstructed["reference"]["of"] == "the reconstructed images themselves"
    assert reconstructed["decoder_sampler"]["steps"] == 2
    assert reconstructed["images"] == reconstructed["reference"]["images"] == 20
    told = measured["stage2/train/clip_score"].protocol
    assert told["prompts"][3] == "a photo of the digit 3"
    assert len(told["tokenizer_sha256"]) == len(measured["stage1/heldout/lpips"].protocol["heads"]["sha256"])
    assert measured["stage1/heldout/ssim"].protocol["reference"] == reconstructed["reference"]
    other = measured["stage2/train/kid"].protocol["reference"]
    assert other == how["reference"]


def drawn(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8), None


def test_a_set_is_at_no_distance_from_itself(weights):
    images = drawn(30, 0)
    features = InceptionFeatures(weights=weights)
    fake = FakeEvaluation(train=images, drawn=images)
    fid, same = (
        FIDConfig(features=features, count=30, resamples=0).build()(fake)[0],
        KIDConfig(features=features, count=30, subset_size=30, subsets=1).build()(fake)[0],
    )
    # Relative to the trace of a covariance of rank 29: roots of rounding noise.
    assert fid.value == pytest.approx(0, abs=1e-4)
    assert fid.interval is None
    assert same.interval is None
    shifted = FakeEvaluation(train=images, drawn=(images[0] // 2, None))
    assert FIDConfig(features=features, count=30, resamples=0).build()(shifted)[0].value > 100 * fid.value


def test_resizing_is_a_choice_that_shows(weights):
    fake = FakeEvaluation(train=drawn(12, 0), drawn=drawn(12, 1))
    values = []
    for resize in ("tensorflow", "pytorch", "clean"):
        features = InceptionFeatures(weights=weights, resize=resize)
        (record,) = FIDConfig(features=features, count=12, resamples=0).build()(fake)
        assert record.protocol["features"]["resize"] == resize
        values.append(record.value)
    assert len(set(values)) == 3


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("weights: no/such/file.pth", "features.weights: no/such/file.pth: cannot be read: No such file"),
        ("weights: SPEC", "features.weights: SPEC: neither safetensors nor a file of torch.save"),
        ("weights: OTHER", "not the weights of this network: no Conv2d_1a_3x3.conv.weight"),
        ("weights: GOOD, resize: bicubic", "features.resize"),
    ],
)
def test_mistakes_are_found_before_training(setting, words, weights, tmp_path, capsys):
    path, other = tmp_path / "s.yaml", tmp_path / "other.safetensors"
    write_safetensors(other, {"a": np.zeros(3)})
    for word, file in (("SPEC", path), ("OTHER", other), ("GOOD", weights)):
        setting, words = setting.replace(word, str(file)), words.replace(word, str(file))
    text = SPEC[: SPEC.index("evaluate:")]
    path.write_text(f"{text}evaluate:\n  - {{type: ulzoo.fid.v1, features: {{{setting}}}}}\n")
    assert main(["check", str(path)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith(f"{path}:")
    assert "Traceback" not in error


def test_video_is_refused(weights):
    config = FIDConfig(features=InceptionFeatures(weights=weights))
    with pytest.raises(InterfaceError, match="images with 1 or 3 channels"):
        config.build(DataIO((3, 4, 16, 16)))


def test_reference_statistics_are_computed_once(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(reference_cache, "KEPT_FROM", 30)
    run = tmp_path / "run"
    shutil.copytree(finished_run().directory, run)
    spec = yaml.safe_load((run / "resolved.yaml").read_text())
    fid = {"type": "ulzoo.fid.v1", "features": {"weights": weights}, "count": 16, "resamples": 0}
    passes = []
    opened = evaluation.TrainedEvaluation._image_batches
    monkeypatch.setattr(
        evaluation.TrainedEvaluation,
        "_image_batches",
        lambda self, stream, count: passes.append(stream) or opened(self, stream, count),
    )

    def value(real_count):
        spec["evaluate"] = [fid | {"real_count": real_count}]
        (run / "resolved.yaml").write_text(yaml.safe_dump(spec))
        assert main(["evaluate", str(run)]) == 0
        record = parse_record((run / "metrics.jsonl").read_text().splitlines()[-1])
        assert record.name == "stage2/train/fid"
        return record.value, record.protocol["reference"]

    first = value(40)
    assert len(passes) == 1
    assert value(40) == first
    assert len(passes) == 1
    # Fewer images are others; so few are not kept.
    assert value(20) != first
    assert value(20)[1]["images"] == 20
    assert len(passes) == 3
