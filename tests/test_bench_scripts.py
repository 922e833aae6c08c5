"""Scripts under tests/bench are run by hand; here that they still run, on as little as they take."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import SPEC

BENCH = Path(__file__).parent / "bench"
DIFFUSION = "ulzoo.diffusion_decoder.v1\n  weighting: {type: ulzoo.sigmoid.v1, loss_factor: 1.5, bias: 4.0}"


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("sampling.py", ["--count", "4", "--batch", "2", "--steps", "2", "2", "--rounds", "1"]),
        ("batch_scaling.py", ["--batches", "2", "4", "--rounds", "1"]),
    ],
)
def test_it_still_runs(script, options, tmp_path):
    (tmp_path / "spec.yaml").write_text(SPEC.replace("ulzoo.mse_decoder.v1", DIFFUSION))
    command = [sys.executable, str(BENCH / script), str(tmp_path / "spec.yaml"), *options]
    told = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert told.returncode == 0, told.stderr[-2000:]
    assert json.loads(told.stdout)["rounds"] == 1
