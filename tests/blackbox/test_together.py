"""Two processes whose loss ceases to be finite write the facts, and one finds the rest (slow)."""

import subprocess
import sys

import pytest
from small_run import write_spec
from trap import TRAPPED, first_record, install
from two_commands import together

from ulzoo.blackbox.box import read_boxes
from ulzoo.run import Run


@pytest.mark.slow
def test_two_processes_leave_a_black_box_that_one_replays(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    environment = install(site)
    sys.path.insert(0, str(site))
    try:
        step, threshold, records = first_record(TRAPPED, after=5)
    finally:
        sys.path.remove(str(site))
    text = TRAPPED.replace("acme.trap.v1}", f"acme.trap.v1, threshold: {threshold}}}")
    directory = tmp_path / "run"
    ended = together(environment, "run", write_spec(tmp_path, text), "--out", directory)
    assert [process.returncode for process in ended] == [2, 2], [process.told for process in ended]
    start = (step - 1) // 4 * 4
    for process in ended:
        assert f"the last checkpoint, of step {start}, is sound" in process.told
        assert f"black box: {directory}/blackbox/stage1-{step:08d}" in process.told
    (box,) = read_boxes(Run.open(directory))
    assert (box.step, box.start, box.state, box.precision) == (step, start, False, "bfloat16")
    assert "several processes" in box.fault
    done = subprocess.run(
        [sys.executable, "-m", "ulzoo", "replay", str(directory)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"by the steps from the checkpoint of step {start}\n" in done.stdout
    assert "in bfloat16, the first value that is not finite: encoder.trap, in the forward pass" in done.stdout
    assert done.stdout.endswith("reproduced\n")
    assert records
