"""`ulzoo run` given by two processes, from the spec to the grid of samples (slow)."""

import os

import numpy as np
import pytest
from final_state import state_arrays
from small_run import finished_run, write_spec
from two_commands import together

from ulzoo.run import Run


def numbers(directory):
    with Run.open(directory) as run:
        return {(record.name, record.step): record.value for record in run.records()}


@pytest.mark.slow
def test_two_processes_run_a_spec_to_its_end_as_one_does(tmp_path):
    directory = tmp_path / "run"
    ended = together(dict(os.environ), "run", write_spec(tmp_path), "--out", directory)
    assert [process.returncode for process in ended] == [0, 0], [process.told for process in ended]
    with Run.open(directory) as run:
        assert {"stage1", "evaluate1", "stage2", "evaluate2", "samples"} <= set(run.finished())
    alone = finished_run().directory
    assert (directory / "samples" / "grid.png").stat().st_size > 0
    assert (directory / "report.html").exists() == (alone / "report.html").exists()
    for stage in (1, 2):
        found, expected = (state_arrays(place, stage) for place in (directory, alone))
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            if ".params" in name:
                # Sums over the batch in another order, in float32, for 40 steps of Adam at 1e-3.
                np.testing.assert_allclose(found[name], array, rtol=0, atol=2e-3, err_msg=name)
    mine, theirs = numbers(directory), numbers(alone)
    assert mine.keys() == theirs.keys()
    for key in theirs:
        if key[0].endswith(("train/loss", "bits_per_pixel")):
            np.testing.assert_allclose(mine[key], theirs[key], rtol=1e-2, err_msg=str(key))
