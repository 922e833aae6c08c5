"""Several processes train what one does; what goes wrong in one ends all of them, within a time."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_run import SPEC, write_spec

from ulzoo.checkpoint import Checkpoints
from ulzoo.parallel.mesh import Share, fetch, local_share, make_mesh, put_batch, put_whole
from ulzoo.parallel.processes import HEARTBEAT
from ulzoo.run import Run

HERE = Path(__file__).parent
MESH = "{mesh: {data: 2, fsdp: -1}, replicate_below: 16}"
DEADLINE = 900
"""Seconds; these processes compile for most of their time."""


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


def start(count, devices, directory, until=6, mesh=MESH):
    port = free_port()
    path = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)])
    return [
        subprocess.Popen(
            [sys.executable, str(HERE / "one_of_several.py"), *map(str, (index, count, port, devices)),
             str(directory), str(until), mesh],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(count)
    ]  # fmt: skip


def finish(started):
    told = [process.communicate(timeout=DEADLINE)[0] for process in started]
    assert [process.returncode for process in started] == [0] * len(started), told
    return told


def parameters(directory, step):
    """Trained weights by name, as NumPy, and the losses that were recorded."""
    import jax
    from jax.sharding import SingleDeviceSharding

    device = SingleDeviceSharding(jax.devices()[0])
    folder = directory / "checkpoints" / "stage1"
    with Checkpoints(folder, read_only=True) as checkpoints:
        table = checkpoints._described(step)[1]
        leaves = {
            name.removeprefix("params."): jax.ShapeDtypeStruct(shape, dtype, sharding=device)
            for name, (shape, dtype) in table.items()
            if name.startswith("params.")
        }
        found = checkpoints.restore_part(step, "params", leaves)
    with Run.open(directory) as run:
        records = {(r.name, r.step): r.value for r in run.records()}
    return {name: np.asarray(leaf) for name, leaf in found.items()}, records


def assert_close(one, other):
    # The same random numbers and examples; sums are taken in another order, in float32, for a few steps of
    # Adam, whose first updates are as large as the learning rate whatever the gradient: 1e-3.
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-3, atol=2e-4, err_msg=str(name))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two processes of two devices."""
    directory = tmp_path_factory.mktemp("two") / "run"
    told = finish(start(2, 2, directory))
    assert "stage 1: compiling" in told[0]
    return directory


@pytest.mark.slow
def test_two_processes_train_as_one(two, tmp_path):
    finish(start(1, 4, tmp_path / "run"))
    assert_close(parameters(two, 6), parameters(tmp_path / "run", 6))


@pytest.mark.slow
def test_what_two_processes_saved_one_restores(two, tmp_path):
    """To one process of one device, which then goes on as the two would have."""
    copy = tmp_path / "run"
    shutil.copytree(two, copy)
    shutil.rmtree(copy / "checkpoints" / "stage1" / "step_00000006")
    text = (copy / "resolved.yaml").read_text()
    (copy / "resolved.yaml").write_text(text.replace("fsdp: -1", "fsdp: 1").replace("data: 2", "data: -1"))
    (told,) = finish(start(1, 1, copy, mesh="{mesh: {data: -1}}"))
    assert "continuing at step 4" in told
    assert_close(parameters(copy, 6), parameters(two, 6))


@pytest.mark.slow
def test_four_processes_train_as_one(tmp_path):
    for name, count, devices in (("four", 4, 2), ("one", 1, 8)):
        finish(start(count, devices, tmp_path / name, until=4))
    assert_close(parameters(tmp_path / "four", 4), parameters(tmp_path / "one", 4))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_is_stopped_stops_the_other(tmp_path, how):
    directory = tmp_path / "run"
    processes = start(2, 1, directory, until=1000, mesh="{mesh: {data: -1}}")
    deadline = time.monotonic() + DEADLINE
    while not list(directory.glob("checkpoints/stage1/step_*")):
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes)
        time.sleep(0.2)
    processes[1].send_signal(how)
    began = time.monotonic()
    told = [process.communicate(timeout=DEADLINE)[0] for process in processes]
    # One heartbeat, and room for machines that do other things too.
    assert time.monotonic() - began < 3 * HEARTBEAT
    if how == signal.SIGKILL:
        assert processes[0].returncode not in (0, None)
    else:
        # Both have saved the same step, though only one was told.
        assert [process.returncode for process in processes] == [143, 143], told
        saved = [re.search(r"step (\d+) is saved", text) for text in told]
        assert saved[0] is not None
        assert saved[0].group() == saved[1].group()


def test_processes_that_are_unlike_end_at_once(tmp_path):
    """Another spec: both say so and nothing is written."""
    spec, port = write_spec(tmp_path, SPEC), free_port()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "ulzoo", "run", str(spec), "--out", str(tmp_path / "run"),
             "--coordinator", f"localhost:{port}", "--processes", "2", "--process", str(index),
             "--set", f"seed={index}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in (0, 1)
    ]  # fmt: skip
    for process in processes:
        out, error = process.communicate(timeout=300)
        assert process.returncode == 2
        assert "the processes of this run are not equal:\n    spec: " in error
        assert "Traceback" not in error
        assert out == ""
    assert not (tmp_path / "run").exists()


def test_one_process_has_the_whole_batch():
    mesh = make_mesh()
    assert local_share(8, mesh) == Share(0, 1)
    batch = {"index": np.arange(8)}
    for placed in (put_batch(batch, mesh), put_whole(batch, mesh)):
        np.testing.assert_array_equal(fetch(placed)["index"], batch["index"])
