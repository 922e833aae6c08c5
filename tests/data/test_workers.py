"""Worker processes: the same stream as without, what kills or hangs one is named, and the stream goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
from test_data_pipeline import Clips, same, take

from ulzoo.data.collection import Collection, Picture
from ulzoo.data.decode import CorruptImage
from ulzoo.data.pictures import PictureDataset
from ulzoo.data.pipeline import Batches
from ulzoo.errors import DataError


def in_a_worker():
    return multiprocessing.parent_process() is not None


class Greys(Collection):
    """Twelve pictures; one may be damaged, kill its reader, or hold it up in a way no thread can end."""

    where = "greys"
    has_captions = False

    def __init__(self, harm, at):
        self.harm, self.at = harm, at

    def __len__(self):
        return 12

    def name(self, index):
        return f"grey {index}"

    def __getitem__(self, index):
        if index == self.at and in_a_worker():
            if self.harm == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.harm == "hangs":
                # As a native library would that does not give Python's lock back: every thread stands.
                os.kill(os.getpid(), signal.SIGSTOP)
            if self.harm == "damaged":
                raise CorruptImage("torn")
        return Picture(self.name(index), np.full((4, 4), 10 * index, np.uint8))


class GreysConfig(PictureDataset):
    type: str = "test.greys.v1"
    harm: str = ""
    at: int = 5

    def collect(self, root):
        return Greys(self.harm, self.at)


def source(**fields):
    fields = {"root": "here", "heldout_root": "there", "size": 4, "channels": 1, "labels": "none"} | fields
    return GreysConfig(**fields).open("train")


def test_the_stream_is_that_of_threads_whatever_the_workers():
    options = {"batch_size": 4, "seed": 3, "start_step": 5}
    reference = take(Clips(23), 12, threads=0, **options)
    for workers in (1, 3):
        assert same(reference, take(Clips(23), 12, workers=workers, **options))


def test_shares_of_processes_are_those_of_threads():
    options = {"batch_size": 6, "seed": 3, "process_index": 1, "process_count": 3}
    assert same(take(Clips(23), 6, threads=0, **options), take(Clips(23), 6, workers=2, **options))


@pytest.mark.parametrize("harm", ["dies", "hangs", "damaged"])
def test_what_happens_to_a_worker_counts_as_damage_of_its_record(harm, monkeypatch):
    monkeypatch.setattr("ulzoo.data.workers.GRACE", 0.5)
    reference = take(source(corrupt="skip"), 9, batch_size=4, seed=0, threads=0)
    with Batches(source(corrupt="skip", harm=harm, timeout=0.5), batch_size=4, seed=0, workers=2) as stream:
        found = [next(stream) for _ in range(9)]
        faults = stream.faults()
    assert list(faults) == ["grey 5"]
    words = {"dies": "signal 9 (SIGKILL)", "hangs": "not read within 0.5 s", "damaged": "torn"}
    assert words[harm] in faults["grey 5"]
    # In place of the record stands the next one, and nothing else has changed.
    for one, other in zip(found, reference, strict=True):
        expected = np.where(other["index"] == 5, 6, other["index"])
        np.testing.assert_array_equal(one["index"], expected)
        np.testing.assert_array_equal(one["image"][:, 0, 0, 0], 10 * expected)


@pytest.mark.parametrize("harm", ["dies", "damaged"])
def test_by_the_other_policy_it_ends_the_stream_by_name(harm):
    with (
        Batches(source(harm=harm), batch_size=12, seed=0, workers=1) as stream,
        pytest.raises(DataError, match="grey 5"),
    ):
        next(stream)


class Stubborn(Clips):
    """Its record is condemned, and read all the same."""

    def draw(self, index, rng):
        if index == 1 and in_a_worker():
            os._exit(3)
        return super().draw(index, rng)

    def condemn(self, index, reason):
        pass


def test_a_record_that_ends_two_workers_ends_the_stream():
    with (
        Batches(Stubborn(4), batch_size=4, seed=0, workers=1) as stream,
        pytest.raises(DataError, match=r"'record 1' ended two readers .*exit status 3"),
    ):
        next(stream)


class Unsendable(Clips):
    def __init__(self, count):
        super().__init__(count)
        self.lock = threading.Lock()


def test_a_source_that_cannot_be_sent_is_told_so():
    with pytest.raises(DataError, match=r"Unsendable cannot be sent .*\n.*workers to 0"):
        Batches(Unsendable(4), batch_size=2, seed=0, workers=2)
    assert _no_worker_is_left()


class Unready(Clips):
    """Ends every process that it comes to."""

    def __setstate__(self, state):
        os._exit(7)


def test_workers_that_never_come_to_read_end_the_stream():
    with (
        Batches(Unready(4), batch_size=2, seed=0, workers=1) as stream,
        pytest.raises(DataError, match="before they read anything: the last ended with exit status 7"),
    ):
        next(stream)


class Modules(Clips):
    """Says whether JAX is loaded where it is read."""

    def draw(self, index, rng):
        return {
            **self[index],
            "jax": np.bool_("jax" in sys.modules),
            "grain": np.bool_("grain" in sys.modules),
        }


def test_they_load_no_jax_and_no_grain():
    with Batches(Modules(4), batch_size=4, seed=0, workers=1) as stream:
        batch = next(stream)
    assert not batch["jax"].any()
    assert not batch["grain"].any()


FORGOTTEN = """
import numpy as np
from ulzoo.data.digits.source import DigitsSource
from ulzoo.data.workers import Workers

workers = Workers(
    DigitsSource("heldout", 8), lambda step: [(step, np.random.default_rng(step))], count=2, start_step=7
)
print(workers.take()["index"])
"""


def test_a_program_that_forgets_them_ends_all_the_same():
    done = subprocess.run([sys.executable, "-c", FORGOTTEN], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[7]\n", "")


def test_they_end_with_the_stream():
    with Batches(Clips(8), batch_size=2, seed=0, workers=2) as stream:
        next(stream)
        assert len(_workers()) == 2
    assert _no_worker_is_left()
    with pytest.raises(ValueError, match="closed"):
        next(stream)


def _workers():
    return [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]


def _no_worker_is_left():
    deadline = time.monotonic() + 5
    while _workers() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not _workers()
