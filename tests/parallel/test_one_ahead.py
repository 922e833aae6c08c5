"""Taking the next thing while one is used: order, how far it goes, errors, closing."""

import gc
import threading
import time

import pytest

from ulzoo.parallel import one_ahead as module
from ulzoo.parallel.one_ahead import one_ahead


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "ulzoo-one-ahead"]


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Counted:
    def __init__(self, count, fails=None):
        self.count, self.fails, self.taken, self.places = count, fails, 0, set()

    def __iter__(self):
        return self

    def __next__(self):
        self.places.add(threading.current_thread().name)
        if self.taken == self.fails:
            raise OSError("gone")
        if self.taken == self.count:
            raise StopIteration
        self.taken += 1
        return self.taken


def test_all_in_order_from_a_thread():
    things = Counted(100)
    assert list(one_ahead(things)) == list(range(1, 101))
    assert things.places == {"ulzoo-one-ahead"}
    assert not threads()


def test_it_takes_one_more_than_it_gave_and_that_when_it_is_closed_too():
    for given in (1, 2, 7):
        things = Counted(100)
        stream = one_ahead(things)
        for _ in range(given):
            next(stream)
        stream.close()
        assert things.taken == given + 1
    assert not threads()


def test_the_next_is_taken_while_one_is_used():
    things = Counted(3)
    stream = one_ahead(things)
    assert next(stream) == 1
    wait_for(lambda: things.taken == 2)
    assert list(stream) == [2, 3]


def test_an_error_comes_where_the_thing_would_have():
    stream = one_ahead(Counted(5, fails=2))
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(OSError, match="gone"):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)
    assert not threads()


def test_one_that_is_forgotten_leaves_no_thread():
    stream = one_ahead(Counted(5))
    next(stream)
    del stream
    gc.collect()
    wait_for(lambda: not threads())


def test_closing_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(module, "_PARTING", 0.05)
    hanging = threading.Event()

    def things():
        yield 1
        hanging.wait()

    stream = one_ahead(things())
    assert next(stream) == 1
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 30
    hanging.set()
    wait_for(lambda: not threads())
