"""One, two, four and eight devices give the same training, memory falls with them, states go between them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent


def run(count, job, out):
    path = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(HERE / "on_devices.py"), str(count), job, str(out)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def assert_one(path, first):
    """All results of a file are those of its first layout."""
    with np.load(path) as results:
        layouts = list(dict.fromkeys(name.split("/")[0] for name in results.files))
        names = [name.split("/", 1)[1] for name in results.files if name.startswith(f"{first}/")]
        assert len(layouts) > 2
        assert len(names) > 20
        for layout in layouts:
            for name in names:
                # The same random numbers; sums over batch, features and heads in another order, in float32,
                # over two steps whose gradients are of size 1 to 10.
                np.testing.assert_allclose(
                    results[f"{layout}/{name}"],
                    results[f"{first}/{name}"],
                    rtol=1e-4,
                    atol=1e-5,
                    err_msg=f"{layout}: {name}",
                )
    return layouts


def test_a_state_goes_between_layouts_and_back(tmp_path):
    """From four devices, divided in two ways at once, to one, two and four; equal to the bit."""
    assert "5 layouts there and back" in run(4, "restore", tmp_path)


@pytest.mark.slow
def test_a_state_goes_from_eight_devices_and_back(tmp_path):
    assert "5 layouts there and back" in run(8, "restore", tmp_path)


@pytest.mark.slow
def test_images_train_alike_on_every_mesh(tmp_path):
    run(8, "train", tmp_path / "results.npz")
    assert len(assert_one(tmp_path / "results.npz", "one")) == 11


@pytest.mark.slow
def test_clips_train_alike_on_every_mesh(tmp_path):
    run(8, "clips", tmp_path / "results.npz")
    assert len(assert_one(tmp_path / "results.npz", "one")) == 5


@pytest.mark.slow
def test_micro_batches_train_alike(tmp_path):
    run(4, "accumulate", tmp_path / "results.npz")
    assert len(assert_one(tmp_path / "results.npz", "whole")) == 3


@pytest.mark.slow
def test_memory_falls_with_the_devices(tmp_path):
    """State and arguments of the compiled step, per device; the batch is small beside them."""
    run(8, "memory", tmp_path / "memory.npz")
    with np.load(tmp_path / "memory.npz") as found:
        whole = found["1/arguments"]
        for count in (2, 4, 8):
            # What every device has whole: step, key, knobs, and arrays that cannot be divided.
            assert found[f"{count}/arguments"] == pytest.approx(whole / count, rel=0.05)
            # Activations fall with the batch, gradients with the parameters; gathered layers do not.
            assert found[f"{count}/temporary"] < found["1/temporary"]
