"""A run that is interrupted says how to go on."""

import os
import signal
import time

import pytest
from small_run import finished_run, start, write_spec

from ulzoo.cli.interruption import resumable


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_with_advice(tmp_path, number, status):
    finished_run()  # whatever is compiled here is compiled by now
    directory = tmp_path / "a run"
    process = start("run", write_spec(tmp_path), "--set", "stage1.steps=100000", "--out", directory)
    deadline = time.monotonic() + 120
    while not (directory / "checkpoints" / "stage1" / "step_00000008").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status
    assert f"interrupted\n    continue with: ulzoo run --resume '{directory}'\n" in error
    assert "Traceback" not in error
    # The lock is free: the process closed the run, and is gone.
    assert not os.path.exists(f"/proc/{process.pid}")


def test_the_command_that_goes_on_is_the_one_that_began():
    with pytest.raises(KeyboardInterrupt) as caught, resumable("here", "train", "RUN", "--stage", "2"):
        raise KeyboardInterrupt
    assert caught.value.__notes__ == ["continue with: ulzoo train here --stage 2"]
