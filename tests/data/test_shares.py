"""Processes share a stream without overlap or loss; records that hang are named, passed over or an error."""

from __future__ import annotations

import threading
import time
from typing import Literal

import numpy as np
import pytest
from test_data_pipeline import Clips, take

from ulzoo.data.collection import Collection, Picture
from ulzoo.data.pictures import PictureDataset
from ulzoo.data.pipeline import Batches, eval_batches
from ulzoo.data.watch import Watch
from ulzoo.errors import DataError


def joined(batches_of_processes):
    """The shares of each step, one after the other."""
    return [
        {name: np.concatenate([share[name] for share in shares]) for name in shares[0]}
        for shares in zip(*batches_of_processes, strict=True)
    ]


@pytest.mark.parametrize("count", [2, 3, 6])
def test_the_shares_of_all_processes_are_the_batch_of_one(count):
    alone = take(Clips(23), 9, batch_size=6, seed=3)
    shares = [
        take(Clips(23), 9, batch_size=6, seed=3, process_index=p, process_count=count, threads=p % 3)
        for p in range(count)
    ]
    assert shares[0][0]["image"].shape[0] == 6 // count
    for one, other in zip(alone, joined(shares), strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_a_run_goes_on_with_another_number_of_processes():
    alone = take(Clips(23), 12, batch_size=6, seed=3)
    shares = [
        take(Clips(23), 5, batch_size=6, seed=3, start_step=7, process_index=p, process_count=3)
        for p in range(3)
    ]
    for one, other in zip(alone[7:], joined(shares), strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])


@pytest.mark.parametrize(
    ("records", "limit", "count"), [(10, None, 2), (9, 5, 4), (4, None, 4), (13, None, 1)]
)
def test_evaluation_is_shared_too(records, limit, count):
    alone = list(eval_batches(Clips(records, damaged=(2,)), 4, limit))
    shares = [
        list(eval_batches(Clips(records, damaged=(2,)), 4, limit, process_index=p, process_count=count))
        for p in range(count)
    ]
    for one, other in zip(alone, joined(shares), strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize(("index", "count"), [(0, 4), (2, 2), (-1, 2), (0, 0)])
def test_unequal_shares_are_refused(index, count):
    with pytest.raises(ValueError, match="has no equal share of a batch of 6"):
        Batches(Clips(3), batch_size=6, seed=0, process_index=index, process_count=count)


# ---- records that hang -------------------------------------------------------------------------


class Slow(Collection):
    where, class_names, has_captions = "slow", None, False

    def __init__(self):
        self.free = threading.Event()

    def __len__(self):
        return 12

    def __getitem__(self, index):
        if index == 5:
            self.free.wait(20)
        return Picture(str(index), np.full((4, 4), index, np.uint8))

    def name(self, index):
        return str(index)


SLOW = Slow()


class SlowConfig(PictureDataset):
    """One record that hangs."""

    type: Literal["test.slow.v1"] = "test.slow.v1"

    def collect(self, root):
        return SLOW


def slow(**fields):
    SLOW.free.clear()
    config = SlowConfig(root="x", heldout_root="x", size=4, labels="none", channels=1, **fields)
    return config.open("train")


def test_a_record_that_hangs_is_passed_over_and_named():
    source = slow(timeout=0.1, corrupt="skip")
    began = time.monotonic()
    with Batches(source, batch_size=4, seed=0, threads=2) as stream:
        found = [next(stream) for _ in range(6)]
    assert time.monotonic() - began < 15
    SLOW.free.set()
    values = np.concatenate([batch["image"][:, 0, 0, 0] for batch in found])
    assert set(values) == set(range(12)) - {5}
    assert source.faults() == {"5": "not read within 0.1 s"}


def test_a_record_that_hangs_is_an_error_by_policy():
    source = slow(timeout=0.1)
    with pytest.raises(DataError, match=r"slow/5' is damaged \(not read within 0\.1 s\)"):
        source[5]
    assert source[4]["image"][0, 0, 0] == 4
    SLOW.free.set()


@pytest.mark.parametrize("threads", [0, 2])
def test_a_reader_that_fails_names_its_record(threads, monkeypatch):
    """Whatever it fails of: a mistake in a source of one's own keeps its type and traceback."""

    def broken(self, index):
        if index == 7:
            raise ZeroDivisionError("a mistake")
        return Picture(str(index), np.full((4, 4), index, np.uint8))

    monkeypatch.setattr(Slow, "__getitem__", broken)
    with (
        Batches(slow(corrupt="skip"), batch_size=12, seed=0, threads=threads) as stream,
        pytest.raises(ZeroDivisionError) as raised,
    ):
        next(stream)
    assert "while reading 'slow/7'" in raised.value.__notes__


def test_without_a_timeout_it_is_waited_for_and_named():
    source, told = slow(), []
    watch = Watch(source, patience=0.1, tell=told.append)
    reader = threading.Thread(target=source.__getitem__, args=(5,))
    reader.start()
    deadline = time.monotonic() + 10
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    SLOW.free.set()
    reader.join(10)
    watch.close()
    assert told == ["note: data: still reading '5' after 0.1 s"]
    assert source.under_way() == []
