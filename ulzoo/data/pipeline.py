"""From a dataset to batches: an endless shuffled stream for training, an ordered pass for evaluation."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import numpy as np

from ulzoo.data.source import Dataset, Record, Source, Split

Batch = dict[str, np.ndarray]
"""Records stacked on a new first axis: image uint8 (B, *space, C), label int32 (B,), index int32 (B,)."""


def batches(
    dataset: Dataset,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    threads: int = 2,
    split: Split = "train",
) -> Batches:
    """The endless training stream of a dataset, from the batch of step `start_step` on.

    The stream is a function of the dataset, `batch_size` and `seed`: threads, restarts and `start_step`
    change when a batch is made, never what is in it. Each epoch is a fresh permutation of all records, epochs
    follow without a gap (a batch may hold the end of one and the start of the next, or several when it is
    larger than the split), and each visit of a record has random numbers of its own.

    Args:
        seed: 0 or more.
        threads: readers that work ahead, each on a whole batch; 0 reads when asked.

    Raises:
        DataError: the data cannot be opened; while iterating, a record cannot be read.
    """
    return Batches(
        dataset.open(split), batch_size=batch_size, seed=seed, start_step=start_step, threads=threads
    )


class Batches(Iterator[Batch]):
    """Iterator over an endless stream of batches; close it, or use it in a `with` statement.

    Attributes:
        step: number of the batch that `next` gives.
        source: where the records come from.
        threads: that read ahead.
    """

    def __init__(
        self, source: Source, *, batch_size: int, seed: int, start_step: int = 0, threads: int = 2
    ) -> None:
        # Grain imports JAX and Orbax; evaluation and `ulzoo check` need neither from here.
        import grain
        from grain.experimental import set_next_index

        if batch_size < 1 or seed < 0 or start_step < 0 or threads < 0:
            raise ValueError("batch_size must be positive; seed, start_step and threads must not be negative")
        self.source, self.threads = source, threads
        self.step = start_step
        stream = (
            grain.MapDataset.range(len(source))
            .seed(seed)
            .shuffle()
            .repeat(None)
            .random_map(lambda index, rng: source.draw(int(index), rng))
            .batch(batch_size)
        )
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
        self._iterator: Any = iter(stream.to_iter_dataset(options))
        set_next_index(self._iterator, start_step)

    def __next__(self) -> Batch:
        if self._iterator is None:
            raise ValueError("the stream of batches is closed")
        batch = next(self._iterator)
        self.step += 1
        return batch

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of damaged records that were replaced so far; readers work ahead, so perhaps of coming
        batches."""
        return self.source.skipped

    def close(self) -> None:
        """End the reading threads; may be called twice."""
        if self._iterator is not None:
            self._iterator.close()
            self._iterator = None

    def __enter__(self) -> Batches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def fingerprint(batch: Batch) -> int:
    """CRC-32 of everything in a batch: equal contents, equal numbers, whatever order its entries are in."""
    return zlib.crc32(b"".join(batch[name].tobytes() for name in sorted(batch)))


def eval_batches(source: Source, batch_size: int, limit: int | None = None) -> Iterator[Batch]:
    """One pass in order, no randomness; all batches have the same shape, so that one compiled program serves
    them.

    Args:
        limit: at most this many records, spread evenly over the split (a split is often sorted by class).

    Yields:
        batches with `mask`, bool (B,): False marks padding at the end of the last batch (its last record,
        repeated) and records that a damaged one was replaced by, which would count twice.
    """
    chosen = spread(len(source), limit)
    for start in range(0, len(chosen), batch_size):
        indices = chosen[start : start + batch_size]
        records = [source[int(index)] for index in indices]
        mask = [int(record["index"]) == index for record, index in zip(records, indices, strict=True)]
        missing = batch_size - len(records)
        yield _stack(records + records[-1:] * missing) | {"mask": np.array(mask + [False] * missing)}


def spread(count: int, limit: int | None) -> np.ndarray:
    """`min(count, limit)` indices below `count`, rising, evenly spread."""
    if limit is None or limit >= count:
        return np.arange(count)
    return np.arange(limit) * count // limit


def _stack(records: list[Record]) -> Batch:
    return {name: np.stack([record[name] for record in records]) for name in records[0]}
