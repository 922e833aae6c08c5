"""SIGKILL in every part of a run and in the middle of saves: it ends as one that nobody disturbed (slow)."""

import json
import shutil
import time

import numpy as np
import pytest
from final_state import state_arrays
from small_run import finished_run, start, write_spec

from ulzoo.run import Run

PARTS = ("stage1", "evaluate1", "stage2", "evaluate2", "samples")
# Three in the training of each stage, one of them in a save; one in each of the other parts.
MOMENTS = ("stage1", "stage1", "save", "evaluate1", "stage2", "stage2", "save", "evaluate2", "samples")
PASSES = 8
"""Runs that are killed at each of the moments, with other delays; 50 kills and more in all."""


def is_saving(directory):
    """Whether a checkpoint is being written: it has its name only in the end."""
    return any((directory / "checkpoints").glob("stage*/*tmp*"))


def wait_until(condition, process):
    """Whether it came true before the process ended."""
    deadline = time.monotonic() + 1200
    while not condition():
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return True


def begins(directory, part):
    """Whether all before a part is done, and the process has come to it."""

    def condition():
        if not (directory / "manifest.json").exists():
            return False
        finished = Run.open(directory).finished()
        return all(before in finished for before in PARTS[: PARTS.index(part)])

    return condition


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(PASSES))
def test_killed_at_any_moment_it_ends_the_same(tmp_path, seed):
    """A run that is killed at moments drawn over its parts and the saves in it; what they hit is printed."""
    undisturbed = finished_run().directory
    seconds = dict.fromkeys(PARTS, 0.0)
    for line in (undisturbed / "timings.jsonl").read_text().splitlines():
        timing = json.loads(line)
        seconds[timing["part"]] += timing["seconds"]
    rng = np.random.default_rng(seed)
    directory, spec = tmp_path / "run", write_spec(tmp_path)
    hit: dict[str, int] = {}
    for part in MOMENTS:
        process = begin(directory, spec)
        if part == "save":
            came = wait_until(lambda: is_saving(directory), process)
        else:
            came = wait_until(begins(directory, part), process)
            time.sleep(rng.uniform(0.0, 1.2 * seconds[part]))
        where = (part if came and is_saving(directory) else None) or part_of(directory)
        process.kill()
        process.communicate()
        # Killed after its last part, a process has lost nothing and shows nothing.
        if process.returncode < 0 and where != "end":
            hit[where] = hit.get(where, 0) + 1
    process = begin(directory, spec)
    _, error = process.communicate(timeout=1200)
    assert process.returncode == 0, error[-3000:]
    compare(directory, undisturbed)
    print(f"{sum(hit.values())} kills, ended as undisturbed: {hit}", flush=True)
    assert sum(hit.values()) >= 7
    assert {"stage1", "stage2"} & hit.keys()


def begin(directory, spec):
    if (directory / "manifest.json").exists():
        return start("run", "--resume", directory)
    shutil.rmtree(directory, ignore_errors=True)
    return start("run", spec, "--out", directory)


def part_of(directory):
    """The part that a process is in, "start" before there is a run, "end" after all."""
    if not (directory / "manifest.json").exists():
        return "start"
    finished = Run.open(directory).finished()
    return next((part for part in PARTS if part not in finished), "end")


def compare(directory, undisturbed):
    for stage in (1, 2):
        found, expected = (state_arrays(place, stage) for place in (directory, undisturbed))
        assert found.keys() == expected.keys()
        assert all(found[name].tobytes() == array.tobytes() for name, array in expected.items())
    for name in ("metrics.jsonl", "samples/grid.png"):
        assert (directory / name).read_bytes() == (undisturbed / name).read_bytes()
