"""Signals ask to stop once; again, or without an answer in time, they end the process."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ulzoo.errors import RunError
from ulzoo.stopping import Terminated, grace_seconds, stop_on_signal


def send(number):
    os.kill(os.getpid(), number)


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("number", "interruption"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_is_a_request_and_is_raised_at_the_end(number, interruption, capfd):
    before = signal.getsignal(number)

    def work():
        with stop_on_signal(60) as stop:
            assert not stop.made
            send(number)
            send(number)  # as `timeout` does: to a process, and to its group
            wait_for(lambda: stop.made)
            # What is done before the request is looked at again is done.
            seen.append(type(stop.interruption()))

    seen = []
    with pytest.raises(interruption):
        work()
    assert seen == [interruption]
    assert signal.getsignal(number) is before
    assert capfd.readouterr().err == (
        f"{number.name}: stopping after this step, to save it; another signal stops at once\n"
    )


def test_without_a_signal_nothing_is_raised_and_threads_may_use_it():
    seen = []

    def work():
        with stop_on_signal(60) as stop:
            seen.append(stop.made)

    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False, False]


# A computation that Python cannot interrupt: the main thread does not get back to the interpreter.
BUSY = """
import ctypes, sys
from ulzoo.stopping import stop_on_signal
from ulzoo.undisturbed import undisturbed
with stop_on_signal(float(sys.argv[1])), undisturbed():
    print("ready", flush=True)
    left = 30
    while left: left = ctypes.CDLL(None).sleep(left)
"""


def busy(grace):
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(grace)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_the_end_of_the_grace_and_a_second_signal_end_the_process_whatever_it_does():
    late, impatient = busy(0.2), busy(60)
    late.send_signal(signal.SIGTERM)
    impatient.send_signal(signal.SIGINT)
    time.sleep(1.1)  # within a second it would be the same request
    impatient.send_signal(signal.SIGTERM)
    (_, late_error), (_, impatient_error) = late.communicate(timeout=10), impatient.communicate(timeout=10)
    assert (late.returncode, impatient.returncode) == (143, 130)
    assert late_error.splitlines()[1:] == ["not saved within 0.2 s (ULZOO_GRACE_SECONDS); stopped without"]
    assert impatient_error.splitlines()[1:] == ["stopped without saving; the checkpoint before is as it was"]


def test_the_grace_is_a_number_of_seconds():
    assert grace_seconds({}) == 25.0
    assert grace_seconds({"ULZOO_GRACE_SECONDS": "1.5"}) == 1.5
    for text in ("soon", "0", "-1", "nan", "inf", ""):
        with pytest.raises(RunError) as caught:
            grace_seconds({"ULZOO_GRACE_SECONDS": text})
        assert str(caught.value) == (
            f"ULZOO_GRACE_SECONDS: must be a number of seconds above 0, got {text!r}"
        )
