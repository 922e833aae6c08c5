"""From a dataset to batches: an endless shuffled stream for training, an ordered pass for evaluation."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from copy import deepcopy
from types import TracebackType
from typing import Any

import numpy as np

from ulzoo.data.source import Dataset, Record, Source, Split, augmentation_of
from ulzoo.data.watch import Watch
from ulzoo.data.workers import Workers

Batch = dict[str, np.ndarray]
"""Records stacked on a new first axis: image uint8 (B, *space, C), label int32 (B,), index int32 (B,);
of captions str (B,)."""


def batches(
    dataset: Dataset,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    threads: int = 2,
    workers: int = 0,
    split: Split = "train",
    process_index: int = 0,
    process_count: int = 1,
) -> Batches:
    """The endless training stream of a dataset, from the batch of step `start_step` on.

    The stream is a function of the dataset, `batch_size` and `seed`: threads, restarts and `start_step`
    change when a batch is made, never what is in it. Each epoch is a fresh permutation of all records, epochs
    follow without a gap (a batch may hold the end of one and the start of the next, or several when it is
    larger than the split), and each visit of a record has random numbers of its own.

    Args:
        seed: 0 or more.
        threads: readers that work ahead, each on a whole batch; 0 reads when asked.
        workers: processes that read ahead in place of threads (`ulzoo.data.workers`); 0: threads.
        process_index, process_count: this process's share of each batch: consecutive rows, so that the shares
            of all processes, one after the other, are the batch that one process alone would have.

    Raises:
        DataError: the data cannot be opened; while iterating, a record cannot be read.
    """
    return Batches(
        dataset.open(split),
        batch_size=batch_size,
        seed=seed,
        start_step=start_step,
        threads=threads,
        workers=workers,
        process_index=process_index,
        process_count=process_count,
    )


class Batches(Iterator[Batch]):
    """Iterator over an endless stream of batches; close it, or use it in a `with` statement.

    Attributes:
        step: number of the batch that `next` gives.
        source: where the records come from.
        threads: that read ahead.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        threads: int = 2,
        workers: int = 0,
        process_index: int = 0,
        process_count: int = 1,
    ) -> None:
        # Grain imports JAX and Orbax; evaluation and `ulzoo check` need neither from here.
        import grain
        from grain.experimental import set_next_index

        if batch_size < 1 or min(seed, start_step, threads, workers) < 0:
            raise ValueError(
                "batch_size must be positive; seed, start_step, threads and workers must not be negative"
            )
        rows = share(batch_size, process_index, process_count)
        self.source, self.threads = source, threads
        self.step = start_step
        order = grain.MapDataset.range(len(source)).seed(seed).shuffle().repeat(None)
        self._iterator: Any = None
        self._workers: Workers | None = None
        if workers:
            # Grain lends its generators: each is copied before it serves another record.
            drawn: Any = order.random_map(lambda index, rng: (int(index), deepcopy(rng)))
            self._workers = Workers(
                source,
                lambda step: [drawn[step * batch_size + row] for row in rows],
                count=workers,
                start_step=start_step,
            )
            self._watch = Watch(self._workers)
            return
        self._watch = Watch(source)
        # A generator for each record costs more than many a record, where nothing is drawn.
        if augmentation_of(source) == "none":
            stream = order.map(lambda index: source[int(index)])
        else:
            stream = order.random_map(lambda index, rng: source.draw(int(index), rng))
        # Of the pieces that one batch is made of, every process takes the one of its number. (Pieces of one
        # record are chosen before they are stacked: there are more of them than a length can say.)
        if len(rows) == 1:
            stream = stream[process_index::process_count].batch(1)
        else:
            stream = stream.batch(len(rows))
            stream = stream[process_index::process_count] if process_count > 1 else stream
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
        self._iterator = iter(stream.to_iter_dataset(options))
        set_next_index(self._iterator, start_step)

    def __next__(self) -> Batch:
        if self._workers is not None:
            batch = self._workers.take()
        elif self._iterator is not None:
            batch = next(self._iterator)
        else:
            raise ValueError("the stream of batches is closed")
        self.step += 1
        return batch

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of damaged records that were replaced so far; readers work ahead, so perhaps of coming
        batches."""
        return tuple(sorted(self.faults()))

    def faults(self) -> dict[str, str]:
        """Name and reason of each of them."""
        return self.source.faults() | ({} if self._workers is None else self._workers.faults())

    def close(self) -> None:
        """End the reading threads and processes; may be called twice."""
        if self._workers is not None:
            self._watch.close()
            self._workers.close()
            self._workers = None
        if self._iterator is not None:
            self._iterator.close()
            self._iterator = None
            self._watch.close()

    def __enter__(self) -> Batches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def fingerprint(batch: Batch) -> int:
    """CRC-32 of everything in a batch: equal contents, equal numbers, whatever order its entries are in."""
    return zlib.crc32(b"".join(batch[name].tobytes() for name in sorted(batch)))


def share(batch_size: int, process_index: int, process_count: int) -> range:
    """Rows of a batch that are one process's. Raises ValueError: the processes cannot share it equally."""
    if not 0 <= process_index < process_count or batch_size % process_count:
        raise ValueError(
            f"process {process_index} of {process_count} has no equal share of a batch of {batch_size}"
        )
    rows = batch_size // process_count
    return range(process_index * rows, (process_index + 1) * rows)


def eval_batches(
    source: Source,
    batch_size: int,
    limit: int | None = None,
    *,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """One pass in order, no randomness; all batches have the same shape, so that one compiled program serves
    them.

    Args:
        limit: at most this many records, spread evenly over the split (a split is often sorted by class).
        process_index, process_count: this process's share of each batch, as for `batches`.

    Yields:
        batches with `mask`, bool (B,): False marks padding at the end of the last batch (its last record,
        repeated) and records that a damaged one was replaced by, which would count twice.
    """
    chosen = spread(len(source), limit)
    rows = share(batch_size, process_index, process_count)
    for start in range(0, len(chosen), batch_size):
        places = np.arange(start, start + batch_size)[rows.start : rows.stop]
        indices = chosen[np.minimum(places, len(chosen) - 1)]
        records: list[Record] = []
        for number, index in enumerate(indices):
            # Padding repeats a record that is there already, where there is one.
            again = number > 0 and index == indices[number - 1]
            records.append(records[-1] if again else source[int(index)])
        sound = np.array([int(record["index"]) for record in records]) == indices
        yield _stack(records) | {"mask": sound & (places < len(chosen))}


def spread(count: int, limit: int | None) -> np.ndarray:
    """`min(count, limit)` indices below `count`, rising, evenly spread."""
    if limit is None or limit >= count:
        return np.arange(count)
    return np.arange(limit) * count // limit


def _stack(records: list[Record]) -> Batch:
    return {name: np.stack([record[name] for record in records]) for name in records[0]}
