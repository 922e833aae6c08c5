"""Passes over images: once for all metrics, in whatever order and batches, in the memory of one batch."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from dataclasses import dataclass, field

import numpy as np
import pytest

from ulzoo.errors import DataError
from ulzoo.metrics.collecting import Collection, Request, collect
from ulzoo.metrics.sinks import ClassScores, Gaussian, SetHash, Table
from ulzoo.metrics.streams import ImageBatch, Opened, Real, Samples


@dataclass(frozen=True)
class Mixing:
    """A network of one matrix; notes how many images it sees."""

    width: int = 6
    seen: list = field(default_factory=list, compare=False)

    def open(self):
        matrix = np.random.default_rng(3).standard_normal((16, self.width))

        def read(batch):
            self.seen.append(len(batch.images))
            return {"pool": (batch.images.reshape(-1, 16) @ matrix).astype(np.float32)}

        return read

    def protocol(self):
        return {}


def images(count):
    return np.random.default_rng(0).integers(0, 256, (count, 4, 4, 1), dtype=np.uint8)


def opener(values, batch=7, order=None, lost=(), opened=None):
    """Streams of the same images in batches of any size and order, some of them missing."""

    def open_stream(stream):
        if opened is not None:
            opened.append(stream)
        count = stream.count if isinstance(stream, Samples) else len(values)
        rows = np.arange(count) if order is None else order[order < count]
        rows = rows[~np.isin(rows, lost)]
        parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        return Opened(count, {"how": "made"}, (ImageBatch(part, values[part]) for part in parts))

    return open_stream


SINKS = (Gaussian("pool"), Table("pool"), ClassScores("pool", 5))


@pytest.mark.parametrize(("batch", "order"), [(1, None), (50, None), (13, "shuffled"), (13, "reversed")])
def test_neither_batches_nor_order_matter(batch, order):
    values = images(50)
    rows = {None: None, "shuffled": np.random.default_rng(1).permutation(50), "reversed": np.arange(50)[::-1]}
    requests = [Request(Real("train", None), sink, Mixing()) for sink in SINKS]
    requests.append(Request(Real("train", None), SetHash()))
    want = collect(requests, opener(values), Collection.empty())
    found = collect(requests, opener(values, batch, rows[order]), Collection.empty())
    ours, theirs = found[requests[0]], want[requests[0]]
    assert ours.count == theirs.count == 50
    # Sums of doubles in another order.
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-13)
    np.testing.assert_allclose(ours.covariance, theirs.covariance, rtol=1e-11)
    np.testing.assert_array_equal(found[requests[1]], want[requests[1]])
    np.testing.assert_allclose(found[requests[2]], want[requests[2]], rtol=1e-12)
    assert found[requests[3]] == want[requests[3]]
    np.testing.assert_allclose(theirs.covariance, np.cov(want[requests[1]], rowvar=False), rtol=1e-9)


def test_one_pass_for_all_and_none_for_what_is_known():
    network, opened = Mixing(), []
    requests = [
        Request(Samples(20, 0), Gaussian("pool"), network),
        Request(Samples(50, 0), Table("pool"), network),
        Request(Samples(20, 0), SetHash()),
        Request(Samples(30, 1), SetHash()),
    ]
    source = opener(images(50), opened=opened)
    known = collect(requests, source, Collection.empty())
    # Fewer samples are the beginning of more; another seed is another stream.
    assert opened == [Samples(50, 0), Samples(30, 1)]
    assert sum(network.seen) == 50
    np.testing.assert_allclose(known[requests[0]].mean, known[requests[1]][:20].mean(0), rtol=1e-5)
    assert known[requests[2]][1] == 20
    again = collect([*requests, Request(Samples(20, 0), SetHash())], source, known)
    assert again is known
    assert len(opened) == 2
    assert known.protocols[Samples(20, 0)] == {"how": "made"}


def test_damaged_records_are_left_out():
    values, lost = images(20), [3, 17]
    requests = [Request(Real("train", None), sink, Mixing()) for sink in SINKS[:2]]
    requests.append(Request(Real("train", None), SetHash()))
    found = collect(requests, opener(values, lost=lost), Collection.empty())
    assert found[requests[0]].count == len(found[requests[1]]) == found[requests[2]][1] == 18
    np.testing.assert_allclose(found[requests[0]].mean, found[requests[1]].mean(0), rtol=1e-5)


def test_the_hash_is_of_every_pixel_and_of_the_order():
    def hashed(values):
        request = Request(Real("train", None), SetHash())
        return collect([request], opener(values), Collection.empty())[request][0]

    values = images(9)
    other = values.copy()
    other[4, 2, 2, 0] ^= 1
    assert len({hashed(values), hashed(other), hashed(values[::-1]), hashed(values.reshape(9, 2, 8, 1))}) == 4


def test_no_images_are_told():
    with pytest.raises(DataError, match="no images"):
        collect([Request(Real("train", None), SetHash())], opener(images(0)), Collection.empty())


def test_moments_keep_their_digits():
    """A mean a million times the deviation: sums of squares would have lost every digit."""
    values = 1e6 + np.random.default_rng(0).standard_normal((400, 3))
    keeper = Gaussian("x").start(400)
    for rows in np.array_split(np.arange(400), 23):
        keeper.add(rows, {"x": values[rows]})
    np.testing.assert_allclose(keeper.result().covariance, np.cov(values, rowvar=False), rtol=1e-8)


def test_memory_is_that_of_a_batch_and_the_statistics():
    count, width = 50_000, 64

    def batches():
        for start in range(0, count, 500):
            yield ImageBatch(np.arange(start, start + 500), np.full((500, 4, 4, 1), start % 251, np.uint8))

    requests = [Request(Samples(count, 0), sink, Mixing(width)) for sink in (Gaussian("pool"), Table("pool"))]
    tracemalloc.start()
    collect(requests, lambda stream: Opened(count, {}, batches()), Collection.empty())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A batch of features in float64 and a few copies of it; the images would be 0.8 MB, the table 12.8 MB.
    assert peak < 12 * 500 * width * 8


RUNNER = """
import sys, jax, numpy as np, jax.numpy as jnp
from ulzoo.metrics.networks.running import Runner

def flat(images):
    return images.reshape(len(images), -1)

def run(module, images):
    return {"out": jnp.tanh(images @ module["w"])}

rng = np.random.default_rng(0)
module = {"w": rng.standard_normal((12, 5)).astype(np.float32)}
images = rng.standard_normal((23, 3, 4)).astype(np.float32)
found = [Runner(flat, run, module, size)(images)["out"] for size in (1, 5, 64)]
print(jax.device_count())
np.save(sys.argv[1], np.stack(found))
"""


def test_neither_batch_size_nor_devices_change_a_networks_values(tmp_path):
    results = []
    for devices in (1, 2):
        environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        path = tmp_path / f"{devices}.npy"
        command = [sys.executable, "-c", RUNNER, str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(devices)
        results += list(np.load(path))
    for found in results[1:]:
        np.testing.assert_allclose(found, results[0], rtol=1e-6, atol=1e-6)
