"""The rate of matrix products: what a share of it is measured against."""

from __future__ import annotations

import statistics
import time
from functools import cache
from typing import Any

_EDGE = {"cpu": 1024}
_LARGE_EDGE = 8192
"""Edge of the square matrices: large enough that a larger one is no faster."""


def product_rate(dtype: str = "float32", repeats: int = 5) -> float:
    """FLOP/s of one device on a product of two square matrices; the median of `repeats`."""
    import jax

    edge = _EDGE.get(jax.default_backend(), _LARGE_EDGE)
    product, matrix = _program(edge, dtype)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        product(matrix).block_until_ready()
        times.append(time.perf_counter() - start)
    return 2 * edge**3 / statistics.median(times)


@cache
def _program(edge: int, dtype: str) -> tuple[Any, Any]:
    import jax
    import jax.numpy as jnp

    matrix = jax.random.normal(jax.random.key(0), (edge, edge), jnp.dtype(dtype))
    product = jax.jit(lambda a: a @ a)
    product(matrix).block_until_ready()
    return product, matrix
