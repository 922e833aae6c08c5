"""A stack of equal blocks: parameters stacked on a leading axis, applied by one scan.

Compile time does not grow with depth, and one rematerialised body bounds activation memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray

from ulzoo.components.layers.linear import DEAR

LONGEST_UNROLLED = 4


def _products(primitive: Any, *args: Any, **parameters: Any) -> Any:
    """Products with weights, which have no batch axis; attention's have one, and take memory by tokens²."""
    if primitive is jax.lax.conv_general_dilated_p:
        return True
    return jax.checkpoint_policies.dots_with_no_batch_dims_saveable(primitive, *args, **parameters)


def _dear(primitive: Any, *args: Any, **parameters: Any) -> Any:
    """All products, attention's too, and what is named so: all but norms and arithmetic on elements."""
    if primitive in (jax.lax.conv_general_dilated_p, jax.lax.dot_general_p):
        return True
    return jax.checkpoint_policies.save_only_these_names(DEAR)(primitive, *args, **parameters)


_POLICIES: dict[bool | str, Any] = {True: None, "products": _products, False: _dear}
"""Value of `remat` → what `jax.checkpoint` keeps; None: nothing."""


class Stack(eqx.Module):
    """`depth` copies of a block, in order.

    Up to `LONGEST_UNROLLED` blocks are written out instead of looped over: XLA's CPU passes do not reach into
    loops, where convolutions run in scalar code; and so few compile quickly.

    Attributes:
        stacked: fields whose arrays have an axis in front for the layers; it is never divided over devices.
        remat: recompute a block's inside in the backward pass; "products": keep products with weights.
            Without it a scan keeps all products, and recomputes arithmetic on elements.
        turns: where blocks of equal parameters differ in what they do, they take turns: block i is called
            with `i % turns` as its last argument, and a scan's body is one round of them.
    """

    stacked: ClassVar = ("blocks",)

    blocks: Any
    depth: int = eqx.field(static=True)
    remat: bool | str = eqx.field(static=True)
    turns: int = eqx.field(static=True)

    def __init__(
        self,
        make: Callable[[PRNGKeyArray], eqx.Module],
        depth: int,
        *,
        turns: int = 1,
        remat: bool | str = False,
        key: PRNGKeyArray,
    ) -> None:
        self.blocks = eqx.filter_vmap(make)(jax.random.split(key, depth)) if depth else None
        self.depth, self.remat, self.turns = depth, remat, turns

    def __call__(self, x: Array, *args: Any, key: PRNGKeyArray | None) -> Array:
        if not self.depth:
            return x
        arrays, static = eqx.partition(self.blocks, eqx.is_array)
        keys = None if key is None else jax.random.split(key, self.depth)
        layers = (arrays, keys)

        def body(x: Array, layer: Any, turn: int = 0) -> tuple[Array, None]:
            arrays, block_key = layer
            block = eqx.combine(arrays, static)
            return (block(x, *args, block_key, turn) if self.turns > 1 else block(x, *args, block_key)), None

        bodies: list[Callable[..., Any]] = [functools.partial(body, turn=turn) for turn in range(self.turns)]
        first = 0
        if self.depth > LONGEST_UNROLLED:
            x, first = self._scanned(bodies, x, layers), self.depth - self.depth % self.turns
        if self.remat:
            bodies = [jax.checkpoint(each, policy=_POLICIES[self.remat]) for each in bodies]
        # Not scan(unroll=True): that leaves a loop of one trip, which the same passes see too late.
        for i in range(first, self.depth):
            with jax.named_scope(f"layer{i}"):
                x, _ = bodies[i % self.turns](x, jax.tree.map(lambda leaf, i=i: leaf[i], layers))
        return x

    def _scanned(self, bodies: Sequence[Callable[..., Any]], x: Array, layers: Any) -> Array:
        """All whole rounds of turns."""
        # A scan copies what it keeps, so it always recomputes what is cheap. It is a border of its own,
        # and needs none against the compiler's joining both computations (`prevent_cse`).
        policy = _POLICIES[self.remat]
        bodies = [jax.checkpoint(each, policy=policy, prevent_cse=False) for each in bodies]
        if self.turns == 1:
            return jax.lax.scan(bodies[0], x, layers)[0]
        count = self.depth // self.turns

        def by_round(leaf: Array) -> Array:
            return leaf[: count * self.turns].reshape(count, self.turns, *leaf.shape[1:])

        def of_round(x: Array, layers: Any) -> tuple[Array, None]:
            for turn, body in enumerate(bodies):
                x, _ = body(x, jax.tree.map(lambda leaf, turn=turn: leaf[turn], layers))
            return x, None

        return jax.lax.scan(of_round, x, jax.tree.map(by_round, layers))[0]
