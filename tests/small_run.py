"""The smallest spec with both stages and all metrics, and one finished run of it for tests that read one."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SPEC = """\
ulzoo: 1
name: small
data: {type: ulzoo.digits.v1, size: 8}
encoder: {type: ulzoo.resnet.v1, patch: 2, channels: [8], blocks: [1], latent_channels: 2}
prior: {type: ulzoo.normal_prior.v1}
decoder:
  type: ulzoo.mse_decoder.v1
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, patch: 2, embedding_width: 8}
base_model:
  type: ulzoo.diffusion_base.v1
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, embedding_width: 8, dropout: 0.1}
  conditioners: [{type: ulzoo.class_label.v1, width: 8}]
stage1:
  {steps: 40, batch_size: 8, log_every: 5, rate_warmup_steps: 10, ema: 0.9, checkpoint_every: 8,
   optimizer: {type: ulzoo.adam.v1, learning_rate: 1e-3}}
stage2:
  {steps: 40, batch_size: 8, log_every: 5, ema: 0.9, checkpoint_every: 8,
   keep_best: {metric: validation/loss, batches: 2},
   optimizer: {type: ulzoo.adamw.v1, learning_rate: 1e-3}}
sample:
  {count: 12, batch_size: 16, sampler: {type: ulzoo.ddim.v1, steps: 4},
   decoder_sampler: {type: ulzoo.ddim.v1, steps: 2}}
evaluate:
  - {type: ulzoo.bits_per_pixel.v1, count: 16, times: 2}
  - {type: ulzoo.psnr.v1, count: 16}
  - {type: ulzoo.pca_frechet.v1, count: 16, components: 4, train_count: 64, real_count: 64}
  - {type: ulzoo.conditional_accuracy.v1, count: 16, train_count: 64, heldout_count: 64}
"""

ENVIRONMENT = {**os.environ, "JAX_LOG_COMPILES": "1"}


def without(text: str, *sections: str) -> str:
    """A spec without some of its top-level sections."""
    for section in sections:
        text = re.sub(rf"^{section}:.*\n(?:[ ].*\n)*", "", text, flags=re.MULTILINE)
    return text


@dataclass(frozen=True)
class Finished:
    directory: Path
    stdout: str
    stderr: str


def start(*arguments: str | Path, **options) -> subprocess.Popen:
    """`ulzoo` in a process of its own."""
    command = [sys.executable, "-m", "ulzoo", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=ENVIRONMENT, text=True, **(pipes | options))


def write_spec(folder: Path, text: str = SPEC) -> Path:
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def reset_second_stage(directory: Path, old: str = "", new: str = "") -> None:
    """Mark a copy of a run as trained up to stage 2, with another text in its spec."""
    (directory / "status.json").write_text(json.dumps({"finished": ["stage1", "evaluate1"]}))
    text = (directory / "resolved.yaml").read_text()
    assert old in text
    (directory / "resolved.yaml").write_text(text.replace(old, new) if old else text)


@functools.cache
def finished_run() -> Finished:
    """`ulzoo run` of SPEC, undisturbed, once for all processes. Read only: tests that write take a copy."""
    folder = Path(os.environ["ULZOO_TESTS_SHARED"]) / "small-run"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = folder / "told.json"
        if not told.exists():
            process = start("run", write_spec(folder), "--out", folder / "run")
            stdout, stderr = process.communicate(timeout=1200)
            assert process.returncode == 0, stderr[-3000:]
            told.write_text(json.dumps([stdout, stderr]))
    return Finished(folder / "run", *json.loads(told.read_text()))
