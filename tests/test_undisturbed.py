"""Signals wait for the end of what must not be cut."""

import os
import signal
import threading

import pytest

from ulzoo.undisturbed import undisturbed


def test_an_interruption_waits_and_is_delivered_once():
    done = []

    def work():
        with undisturbed(), undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            done.append(1)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_gets_its_signal_at_the_end():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(len(seen)))
    try:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
            assert seen == []
        assert seen == [0]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_error_passes_and_the_handlers_are_back():
    with pytest.raises(ValueError, match="own"), undisturbed():
        raise ValueError("own")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_thread_is_left_alone():
    done = []

    def work():
        with undisturbed():
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]
