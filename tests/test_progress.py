import contextlib
import io
import os
import pty
import termios
import time

import pytest

from ulzoo.progress import Progress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def run(total, seconds_per_step, first_step=0.0, **options):
    """All steps of a loop; returns what was written and the object."""
    clock, stream = Clock(), io.StringIO()
    with Progress("stage 1", total, stream=stream, clock=clock, **options) as progress:
        for step in range(progress.done, total):
            clock.now += seconds_per_step + (first_step if step == 0 else 0)
            progress.advance(numbers={"loss": 1 / (step + 1), "bits/pixel": 0.25})
    return stream.getvalue(), progress


def test_plain_lines_say_speed_images_time_left_and_numbers():
    text, _ = run(100, 0.5, images=64)
    lines = text.splitlines()
    # 50 seconds and a line every 10 of them, the last at the end.
    assert len(lines) == 5
    assert lines[0] == (
        "stage 1  20/100 steps  20%  2 steps/s  128 images/s  0:40 left  loss 0.05  bits/pixel 0.25"
    )
    assert lines[-1] == "stage 1: 100/100 steps in 0:50  2 steps/s  128 images/s  loss 0.01  bits/pixel 0.25"


def test_quick_loops_write_one_line():
    text, _ = run(5, 0.1, unit="images")
    assert text == "stage 1: 5/5 images in 0:00  10 images/s  loss 0.2  bits/pixel 0.25\n"


def test_compilation_is_not_in_the_speed():
    _, progress = run(40, 0.5, first_step=60.0)
    assert progress.speed == pytest.approx(2.0)


def test_speed_follows_the_last_seconds():
    clock = Clock()
    progress = Progress("x", 1000, stream=io.StringIO(), clock=clock)
    for seconds in [0.1] * 300 + [1.0] * 60:
        clock.now += seconds
        progress.advance()
    assert progress.speed == pytest.approx(1.0)


def test_a_resumed_loop_counts_from_where_it_was():
    text, progress = run(100, 0.5, start=90)
    assert progress.done == 100
    # 10 steps in 5 seconds.
    assert text.startswith("stage 1: 100/100 steps in 0:05  2 steps/s")


def test_several_steps_at_once_and_numbers_that_stay():
    clock, stream = Clock(), io.StringIO()
    progress = Progress("sampling", 1000, images=1, stream=stream, clock=clock)
    progress.advance(100, {"loss": 2.0})
    clock.now += 11
    progress.advance(110)
    assert stream.getvalue() == "sampling  210/1000 steps  21%  10 steps/s  10 images/s  1:19 left  loss 2\n"


def test_no_steps_at_all():
    clock, stream = Clock(), io.StringIO()
    Progress("stage 2", 0, stream=stream, clock=clock).close()
    assert stream.getvalue() == "stage 2: 0/0 steps in 0:00\n"


def test_closing_twice_writes_once():
    stream = io.StringIO()
    progress = Progress("x", 1, stream=stream)
    progress.close()
    progress.close()
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "shown"), [(7.0, "0:07 left"), (61.0, "1:01 left"), (3600 + 120 + 3.0, "1:02:03 left")]
)
def test_durations(seconds, shown):
    clock, stream = Clock(), io.StringIO()
    progress = Progress("x", 3, stream=stream, clock=clock, every=0.0)
    progress.advance()
    clock.now += seconds
    progress.advance()
    assert shown in stream.getvalue()


def drawn_on_a_terminal(columns, draw):
    """All that `draw` writes to a terminal of so many columns."""
    control, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24 if columns else 0, columns))
    with os.fdopen(terminal, "w") as stream:
        draw(stream)
    # The kernel hands written text over piece by piece, some of it later: only the end of the terminal
    # (an error on Linux, an empty read elsewhere) says that no more comes.
    parts = []
    with contextlib.suppress(OSError):
        while part := os.read(control, 65536):
            parts.append(part)
    os.close(control)
    return b"".join(parts).decode()


def test_a_terminal_gets_a_bar():
    def draw(stream):
        clock = Clock()
        with Progress("stage 1", 4, images=10, stream=stream, clock=clock) as progress:
            for _ in range(4):
                clock.now += 0.5
                # The bar is drawn at most ten times a second, by the real clock.
                time.sleep(0.11)
                progress.advance(numbers={"loss": 0.5})

    text = drawn_on_a_terminal(120, draw)
    drawn = text.split("\r")
    assert drawn[1].startswith("stage 1 0/4 |")
    # 2 steps of 4 are done, one of which is timed; the bar fills the line.
    expected = "stage 1 2/4, 2 steps/s 20 img/s 0:01 left loss 0.5 |"
    (line,) = {line for line in drawn if line.startswith(expected)}
    bar, _, _ = line.removeprefix(expected).partition("|")
    assert bar.strip("█ ") == ""
    assert bar.count("█") == len(bar) // 2
    assert text.splitlines()[-1].endswith("stage 1: 4/4 steps in 0:02  2 steps/s  20 images/s  loss 0.5")


def test_a_narrow_terminal_keeps_the_numbers():
    """80 columns hold all that a training step has to say; the bar has what is left of them."""

    def draw(stream):
        clock = Clock()
        progress = Progress("stage 1", 1500, images=64, stream=stream, clock=clock)
        for _ in range(2):
            clock.now += 0.06 * 100
            time.sleep(0.11)
            progress.advance(100, {"loss": 2.23456, "bits/pixel": 0.251234})
        progress.close()

    text = drawn_on_a_terminal(80, draw)
    assert "stage 1 200/1500, 16.7 steps/s 1067 img/s 1:18 left loss 2.23 bits/pixel 0.251 " in text


def test_a_terminal_without_columns_gets_lines():
    def draw(stream):
        with Progress("stage 1", 1, stream=stream) as progress:
            progress.advance()

    assert drawn_on_a_terminal(0, draw).startswith("stage 1: 1/1 steps in 0:0")
