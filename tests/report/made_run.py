"""Run directories written by hand: every number on their pages is chosen here, and nothing is trained."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ulzoo.images import grid, write_png
from ulzoo.records import Record
from ulzoo.run import Run

SPEC = """\
ulzoo: 1
name: made
data: {type: ulzoo.digits.v1, size: 8}
encoder: {type: ulzoo.resnet.v1, channels: [8], blocks: [1], latent_channels: 2}
prior: {type: ulzoo.normal_prior.v1}
decoder:
  type: ulzoo.diffusion_decoder.v1
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1}
  weighting: {type: ulzoo.sigmoid.v1, loss_factor: 3.0, bias: 1.0}
base_model:
  type: ulzoo.diffusion_base.v1
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1}
stage1: {steps: 40, batch_size: 8, rate_warmup_steps: 10}
stage2: {steps: 40, batch_size: 8}
"""
PARTS = ("stage1", "evaluate1", "stage2", "evaluate2", "samples")
NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
SHARED = {"spec_hash": "abc", "ema": 0.9, "hardware": "x86_64, cpu:cpu"}


def training(stage: str, name: str, step: int, value: float, unit: str = "bits/pixel") -> Record:
    return Record(step, stage, f"{stage}/train/{name}", value, unit, {"split": "train", "steps": [1, step]})


def measured(name: str, value: float, unit: str, *, extra=None, interval=None, **protocol) -> Record:
    stage = name.split("/")[0]
    return Record(40, stage, name, value, unit, {**SHARED, **protocol}, interval, extra or {})


def rate_split() -> dict:
    """4 bins of log-SNR from −10 to 6 and 2×2 positions, which sum to 64 pixels of 0.25 bits each."""
    return {
        "by_noise_level": {
            "log_snr_edges": [-10.0, -6.0, -2.0, 2.0, 6.0],
            "bits_per_pixel": [0.0, 0.05, 0.1, 0.09],
            "without_level": 0.01,
        },
        "by_position": [[1.0, 3.0], [4.0, 8.0]],
    }


def records() -> list[Record]:
    found = []
    for step in (10, 20, 30, 40):
        found += [
            training("stage1", "loss", step, 10.0 / step),
            training("stage1", "bits_per_pixel", step, 0.3 - step / 1000),
            training("stage1", "distortion", step, 9.0 / step),
            training("stage1", "gradient_norm", step, 1.0),
        ]
    found += [
        measured(
            "stage1/heldout/bits_per_pixel",
            0.25,
            "bits/pixel",
            extra=rate_split(),
            interval=(0.24, 0.26),
            rate="upper bound",
            images=16,
        ),
        measured("stage1/heldout/psnr", 23.5, "dB", images=16),
    ]
    each = [{"index": 3 * i, "label": i % 2} for i in range(4)]
    seen = [{**one, "psnr": 20.0 + i} for i, one in enumerate(each)]
    priced = [
        {**one, "bits": 16.0 + i, "bits_by_position": [[1.0, 3.0], [4.0, 8.0 + i]]}
        for i, one in enumerate(each)
    ]
    found += [
        measured("stage1/heldout/examples/psnr", 21.5, "dB", extra={"images": seen}, images=4),
        measured(
            "stage1/heldout/examples/bits",
            17.5,
            "bits/image",
            extra={"images": priced},
            rate="upper bound",
            images=4,
        ),
    ]
    found += [training("stage2", "loss", step, 1.0 / step, "nats/dimension") for step in (20, 40)]
    return [*found, measured("stage2/train/conditional_accuracy", 0.9, "1", samples=10)]


def make_run(
    directory: Path, *, seed: int = 0, finished=PARTS, lines=None, spec: str = SPEC, **manifest
) -> Path:
    """A run directory; `finished` are the parts it says are done, `lines` its records."""
    arguments = {
        "name": "made",
        "spec_text": f"# as given\n{spec}",
        "resolved_text": spec,
        "spec_hash": "0123456789abcdef",
        "components": {"ulzoo.vit.v1": "ulzoo 0.1.0"},
        "devices": ["cpu:cpu"],
        "command": ["ulzoo", "run", "made.yaml"],
        "now": NOON,
    }
    rng = np.random.default_rng(seed)
    with Run.create(directory, **(arguments | manifest)) as run:
        run.append(records() if lines is None else lines)
        for part in finished:
            run.mark_finished(part)
            run.note_timing(
                {"part": part, "started": "2026-05-04T12:00:00+00:00", "seconds": 62.0, "finished": True}
            )
        if "evaluate1" in finished:
            run.examples.mkdir()
            originals = np.random.default_rng(7).integers(0, 256, (4, 8, 8, 1), np.uint8)
            for i, original in enumerate(originals):
                write_png(run.examples / f"{i:03d}-original.png", original)
                result = rng.integers(0, 256, (8, 8, 1), np.uint8)
                write_png(run.examples / f"{i:03d}-reconstruction.png", result)
        if "samples" in finished:
            pictures = rng.integers(0, 200, (4, 8, 8, 1), np.uint8)
            write_png(run.samples / "grid.png", grid(pictures, 2, gap=2), enlarge=4)
            facts = {"images": 4, "columns": 2, "rows": 2, "gap": 8, "labels": [0, 1], "step": 40}
            facts["protocol"] = {**SHARED, "sampler": {"type": "ulzoo.ddim.v1", "steps": 4}}
            (run.samples / "grid.json").write_text(json.dumps(facts))
    return directory
