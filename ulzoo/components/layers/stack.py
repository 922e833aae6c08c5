"""A stack of equal blocks: parameters stacked on a leading axis, applied by one scan.

Compile time does not grow with depth, and one rematerialised body bounds activation memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray


class Stack(eqx.Module):
    """`depth` copies of a block, in order. `remat`: recompute a block's inside in the backward pass."""

    blocks: Any
    depth: int = eqx.field(static=True)
    remat: bool = eqx.field(static=True)

    def __init__(
        self, make: Callable[[PRNGKeyArray], eqx.Module], depth: int, *, remat: bool = False, key: PRNGKeyArray
    ) -> None:
        self.blocks = eqx.filter_vmap(make)(jax.random.split(key, depth)) if depth else None
        self.depth, self.remat = depth, remat

    def __call__(self, x: Array, *args: Any, key: PRNGKeyArray | None) -> Array:
        if not self.depth:
            return x
        arrays, static = eqx.partition(self.blocks, eqx.is_array)
        keys = None if key is None else jax.random.split(key, self.depth)

        def body(x: Array, block: Any) -> tuple[Array, None]:
            arrays, block_key = block
            return eqx.combine(arrays, static)(x, *args, block_key), None

        body = jax.checkpoint(body) if self.remat else body
        return jax.lax.scan(body, x, (arrays, keys))[0]
