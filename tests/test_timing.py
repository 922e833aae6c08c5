"""How long parts take: the first step apart, and parts that end badly too."""

import pytest
from test_run import create

from ulzoo.timing import StepClock, timed


def test_speed_is_of_the_steps_after_the_first():
    now = iter([100.0, 130.0, 131.0, 134.0])
    clock = StepClock(8, clock=lambda: next(now))
    assert clock.facts() == {}
    clock(11, "state", "metrics")
    assert clock.facts() == {"steps": [11, 11], "first_step_seconds": 30.0}
    clock(12)
    clock(13)
    assert clock.facts() == {
        "steps": [11, 13],
        "first_step_seconds": 30.0,
        "steps_per_second": 0.5,
        "images_per_second": 4.0,
    }


def test_a_part_is_noted_however_it_ends(tmp_path):
    with create(tmp_path / "run") as run:
        with timed(run, "stage1", lambda: {"steps": [1, 2]}):
            pass
        with pytest.raises(KeyboardInterrupt), timed(run, "stage2"):
            raise KeyboardInterrupt
        first, second = run.timings()
    assert (first["part"], first["finished"], first["steps"]) == ("stage1", True, [1, 2])
    assert (second["part"], second["finished"]) == ("stage2", False)
    assert 0 <= first["seconds"] < 5
    assert first["started"].endswith("+00:00")
