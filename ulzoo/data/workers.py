"""Processes that read batches: what a library in pure Python, or one that may crash, is kept in.

The parent decides what each batch is made of, index and random numbers of every record, so a batch is the
same whoever reads it. Workers are started afresh (spawn), load no JAX and no Grain, and end with the parent.

A worker says on a board, in shared memory, which record it is at. One that dies, or stays with a record for
longer than the source's `timeout`, is thereby known to have done so at that record: the record is condemned
by the source's policy, the batch is given to a new worker, and all others are told.
"""

from __future__ import annotations

import atexit
import heapq
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

import numpy as np

from ulzoo.data.source import Record, Source
from ulzoo.errors import DataError

Draw = tuple[int, np.random.Generator]
"""Index of a record, and the random numbers that are its own."""
GRACE = 5.0
"""Seconds beyond `timeout` that a worker has to give up a record by itself."""
AHEAD = 2
"""Batches for each worker that are read, or ready, before they are taken. Of one that reads no second is
asked: two processes that both write to a full pipe would wait for each other."""
IN_VAIN = 3
"""Workers that may end one after the other, with no record to blame and no batch between them."""
NOTHING = -1.0


@dataclass(eq=False)
class Worker:
    """A process, the parent's end of its pipe, its place on the board, and the step that it was asked for."""

    process: Any
    pipe: connection.Connection
    board: Any
    step: int | None = None

    def at(self) -> tuple[float, float]:
        """Index of the record that it reads, or NOTHING, and since when."""
        return self.board[0], self.board[1]


class Workers:
    """Batches of consecutive steps, read by `count` processes, in order.

    Args:
        draws: the records of a step's batch; called from one thread.
        start_step: the first step.

    Raises:
        DataError: the source cannot be sent to another process.
    """

    def __init__(
        self, source: Source, draws: Callable[[int], list[Draw]], *, count: int, start_step: int
    ) -> None:
        self._source, self._draws, self._count = source, draws, count
        self._context = multiprocessing.get_context("spawn")
        self._next, self._asked = start_step, start_step
        self._again: list[int] = []  # steps whose worker ended, a heap
        self._ready: dict[int, dict[str, np.ndarray] | BaseException] = {}
        self._changed = threading.Condition()
        self._faults: dict[str, str] = {}
        self._condemned: set[int] = set()
        self._in_vain = 0
        self._wake, self._woken = self._context.Pipe()
        self._closing = False
        self._workers: list[Worker] = []
        try:
            for _ in range(count):
                self._workers.append(self._start())
        except BaseException:
            self._end()
            raise
        self._thread = threading.Thread(target=self._run, daemon=True, name="ulzoo-workers")
        self._thread.start()
        # Python's own end would wait for processes that heed no signal; this comes before it.
        atexit.register(self.close)

    def take(self) -> dict[str, np.ndarray]:
        """The batch of the next step. Raises whatever reading it raised."""
        with self._changed:
            while self._next not in self._ready:
                self._changed.wait()
            found = self._ready[self._next]
            if isinstance(found, BaseException):
                # Stays: whoever asks again is told again.
                raise found
            del self._ready[self._next]
            self._next += 1
        self._wake.send(None)
        return found

    def faults(self) -> dict[str, str]:
        """Name and reason of every damaged record that a worker has met."""
        with self._changed:
            return dict(self._faults)

    def under_way(self) -> list[tuple[str, float]]:
        """Name of each record that is being read now, and for how many seconds; the longest first."""
        now = time.monotonic()
        places = [worker.at() for worker in list(self._workers)]
        found = [(self._source.record_name(int(i)), now - since) for i, since in places if i >= 0]
        return sorted(found, key=lambda one: -one[1])

    def close(self) -> None:
        """End the processes; may be called twice."""
        if not self._closing:
            self._closing = True
            atexit.unregister(self.close)
            self._wake.send(None)
            self._thread.join()
            self._end()

    def _start(self) -> Worker:
        mine, theirs = self._context.Pipe()
        board = self._context.RawArray("d", [NOTHING, 0.0])
        process = self._context.Process(target=_work, args=(theirs, board), daemon=True, name="ulzoo-data")
        process.start()
        theirs.close()
        try:
            mine.send(self._source)
        except OSError:
            pass  # It has ended; its sentinel tells.
        except Exception as error:
            process.kill()
            process.join()
            raise DataError(
                f"{type(self._source).__name__} cannot be sent to a worker process ({error})\n"
                "    set workers to 0, or make the source picklable"
            ) from error
        return Worker(process, mine, board)

    def _run(self) -> None:
        try:
            while not self._closing:
                self._ask()
                ends = [end for w in self._workers for end in (w.pipe, w.process.sentinel)]
                there = connection.wait([self._woken, *ends], timeout=1.0)
                if self._woken in there:
                    self._woken.recv()
                for worker in list(self._workers):
                    if worker.pipe in there:
                        self._receive(worker)
                for worker in list(self._workers):
                    self._look_after(worker)
        except BaseException as error:
            self._fail(self._next, error)

    def _ask(self) -> None:
        for worker in self._workers:
            if worker.step is not None:
                continue
            if self._again:
                worker.step = heapq.heappop(self._again)
            elif self._asked < self._next + AHEAD * self._count:
                worker.step, self._asked = self._asked, self._asked + 1
            else:
                return
            self._tell(worker, ("read", worker.step, self._draws(worker.step)))

    def _tell(self, worker: Worker, message: Any) -> None:
        # One that has ended is seen to by `_look_after`.
        with suppress(OSError):
            worker.pipe.send(message)

    def _receive(self, worker: Worker) -> None:
        try:
            step, result, faults = worker.pipe.recv()
        except (EOFError, OSError):
            return
        worker.step, self._in_vain = None, 0
        with self._changed:
            self._faults |= faults
            self._ready[step] = result
            self._changed.notify_all()

    def _look_after(self, worker: Worker) -> None:
        """Replaces a worker that has ended, or that a record holds up."""
        index, since = worker.at()
        timeout = self._source.timeout
        late = timeout is not None and index >= 0 and time.monotonic() - since > timeout + GRACE
        if late:
            worker.process.kill()
        elif worker.process.is_alive():
            return
        worker.process.join()
        if worker.step is not None and worker.pipe.poll():
            self._receive(worker)  # It was finished before the end.
        index, _ = worker.at()
        ending = _ending(worker.process.exitcode)
        worker.pipe.close()
        self._workers.remove(worker)
        if worker.step is not None:
            heapq.heappush(self._again, worker.step)
        if index >= 0:
            self._condemn(int(index), f"not read within {timeout:g} s" if late else f"its reader {ending}")
        else:
            self._in_vain += 1
            if self._in_vain >= IN_VAIN:
                raise DataError(
                    f"worker processes end before they read anything: the last {ending}\n"
                    "    a script that trains needs its work under if __name__ == '__main__':"
                )
        self._workers.append(self._start())

    def _condemn(self, index: int, reason: str) -> None:
        if index in self._condemned:
            raise DataError(f"{self._source.record_name(index)!r} ended two readers ({reason})")
        self._condemned.add(index)
        self._source.condemn(index, reason)
        for worker in self._workers:
            self._tell(worker, ("condemn", index, reason))

    def _fail(self, step: int, error: BaseException) -> None:
        with self._changed:
            # Batches that are ready are given first.
            while step in self._ready:
                step += 1
            self._ready[step] = error
            self._changed.notify_all()

    def _end(self) -> None:
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            # They end when they next look at their pipe; a record may keep them from it.
            worker.process.join(0.2)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []


def stacked(records: list[Record]) -> dict[str, np.ndarray]:
    """Records as a batch: each entry on a new first axis."""
    return {name: np.stack([record[name] for record in records]) for name in records[0]}


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by signal {-code} ({signal.Signals(-code).name})"
    return f"ended with exit status {code}"


def _work(pipe: connection.Connection, board: Any) -> None:
    """A worker: reads what it is asked for until the pipe closes."""
    # Of both signals the parent thinks: it ends the workers when the run has been saved.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def at(index: int | None) -> None:
        board[1] = time.monotonic()
        board[0] = NOTHING if index is None else float(index)

    try:
        source = pipe.recv()
        source.report_to(at)
        told: dict[str, str] = source.faults()
        while True:
            kind, *message = pipe.recv()
            if kind == "condemn":
                source.condemn(*message)
                continue
            step, draws = message
            result: Any
            try:
                records = []
                for index, rng in draws:
                    at(index)
                    records.append(source.draw(index, rng))
                result = stacked(records)
            except Exception as error:
                result = error
            finally:
                at(None)
            faults = {name: reason for name, reason in source.faults().items() if name not in told}
            told |= faults
            try:
                pipe.send((step, result, faults))
            except OSError:
                return
            except Exception:
                # An error that cannot be sent; its words can.
                pipe.send((step, DataError(f"{type(result).__name__}: {result}"), faults))
    except (EOFError, OSError):
        return  # The parent has gone.
