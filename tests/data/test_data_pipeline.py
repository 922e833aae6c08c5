"""The training stream and the evaluation pass."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ulzoo.data.pipeline import Batches, batches, eval_batches, spread
from ulzoo.data.source import Source
from ulzoo.errors import DataError


class Clips(Source):
    """Small videos: nothing in the pipeline may assume images. Each draw adds noise of its own."""

    def __init__(self, count, damaged=(), fails=None):
        self.count, self.damaged, self.fails = count, damaged, fails

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index == self.fails:
            raise DataError(f"record {index} is damaged")
        place = next(i % self.count for i in itertools.count(index) if i % self.count not in self.damaged)
        return {"image": np.full((2, 3, 4, 1), place, np.uint8), "index": np.int32(place)}

    def draw(self, index, rng):
        record = self[index]
        record["image"] = rng.integers(0, 256, record["image"].shape, dtype=np.uint8)
        return record


def take(source, count, **options):
    with Batches(source, **options) as stream:
        return [next(stream) for _ in range(count)]


def same(one, other):
    return all(np.array_equal(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a)


def test_threads_change_nothing():
    reference = take(Clips(23), 20, batch_size=4, seed=3, threads=0)
    assert reference[0]["image"].shape == (4, 2, 3, 4, 1)
    assert reference[0]["image"].dtype == np.uint8
    for threads in (1, 4):
        assert same(reference, take(Clips(23), 20, batch_size=4, seed=3, threads=threads))


@pytest.mark.parametrize(("start", "threads"), [(0, 0), (1, 2), (13, 0), (13, 3)])
def test_resume_equals_the_undisturbed_stream(start, threads):
    reference = take(Clips(23), start + 5, batch_size=4, seed=3)
    assert same(
        reference[start:], take(Clips(23), 5, batch_size=4, seed=3, start_step=start, threads=threads)
    )


def test_epochs_are_permutations_and_draws_are_fresh():
    stream = take(Clips(12), 9, batch_size=4, seed=0)
    epochs = np.concatenate([batch["index"] for batch in stream]).reshape(3, 12)
    for epoch in epochs:
        assert sorted(epoch) == list(range(12))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    # The same record never draws the same numbers twice.
    assert len({image.tobytes() for batch in stream for image in batch["image"]}) == 36


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 1 + 2**32)])
def test_seeds_differ(one, other):
    streams = [take(Clips(100), 2, batch_size=8, seed=seed) for seed in (one, other)]
    assert not np.array_equal(streams[0][0]["index"], streams[1][0]["index"])
    assert not np.array_equal(streams[0][0]["image"], streams[1][0]["image"])


def test_batch_larger_than_the_split():
    (batch,) = take(Clips(3), 1, batch_size=10, seed=0)
    np.testing.assert_array_equal(np.sort(batch["index"][:9]), np.repeat(np.arange(3), 3))
    assert batch["image"].shape[0] == 10


class OneSplit:
    def __init__(self):
        self.opened = []

    def io(self):
        raise AssertionError("the stream does not need shapes")

    def open(self, split):
        self.opened.append(split)
        return Clips(5)


def test_batches_opens_the_split_and_counts_steps():
    dataset = OneSplit()
    with batches(dataset, batch_size=2, seed=0, start_step=4) as stream:
        assert stream.step == 4
        next(stream)
        assert stream.step == 5
        assert stream.skipped == ()
    assert dataset.opened == ["train"]
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        next(stream)


@pytest.mark.parametrize("threads", [0, 2])
def test_errors_of_a_record_reach_the_caller(threads):
    with (
        Batches(Clips(4, fails=2), batch_size=4, seed=0, threads=threads) as stream,
        pytest.raises(DataError),
    ):
        next(stream)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"seed": -1}, {"start_step": -1}, {"threads": -1}])
def test_senseless_arguments(wrong):
    with pytest.raises(ValueError, match="must"):
        Batches(Clips(3), **({"batch_size": 1, "seed": 0} | wrong))


def test_evaluation_is_in_order_and_padded():
    passed = list(eval_batches(Clips(10), 4))
    assert [batch["image"].shape for batch in passed] == [(4, 2, 3, 4, 1)] * 3
    masked = np.concatenate([batch["index"][batch["mask"]] for batch in passed])
    np.testing.assert_array_equal(masked, np.arange(10))
    np.testing.assert_array_equal(passed[-1]["mask"], [True, True, False, False])


def test_evaluation_counts_substitutes_once():
    passed = list(eval_batches(Clips(6, damaged=(2, 3)), 3))
    masked = np.concatenate([batch["index"][batch["mask"]] for batch in passed])
    np.testing.assert_array_equal(masked, [0, 1, 4, 5])


@pytest.mark.parametrize(
    ("count", "limit"), [(10, None), (10, 3), (10, 10), (10, 11), (7, 6), (5, 1), (3, 0)]
)
def test_spread(count, limit):
    chosen = spread(count, limit)
    assert len(chosen) == (count if limit is None else min(count, limit))
    assert all(0 <= index < count for index in chosen)
    gaps = np.diff(chosen)
    assert len(gaps) == 0 or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)
