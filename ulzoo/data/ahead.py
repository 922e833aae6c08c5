"""A function over many things in several threads, results in order, a bounded number ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
S = TypeVar("S")


def in_order(function: Callable[[T], S], things: Iterable[T], threads: int) -> Iterator[S]:
    """`function` of each thing, in order; memory holds a few results for each thread."""
    if threads < 1:
        raise ValueError(f"threads must be positive, got {threads}")
    rest = iter(things)
    pool = ThreadPoolExecutor(threads)
    try:
        waiting: deque[Future[S]] = deque(pool.submit(function, one) for one in islice(rest, 4 * threads))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, one) for one in islice(rest, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
