"""The residual U: levels of falling resolution, one skip per change of resolution.

h_b enters a level; h_a = Down(h_b) goes through everything below and comes back as h; the level
continues with Up(h − h_a) + h_b (Hoogeboom et al. 2410.19324, Residual U-ViT). The skip carries what the
coarser levels added, not what they were given.
"""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.components.layers.linear import Pointwise
from ulzoo.components.layers.space import average_pool, nearest_up


class Rescale(eqx.Module):
    """The way down and up between two levels: average-pool + 1×1, and 1×1 + nearest."""

    down_linear: Pointwise
    up_linear: Pointwise
    factors: tuple[int, ...] = eqx.field(static=True)
    causal: bool = eqx.field(static=True)

    def __init__(
        self, fine: int, coarse: int, factors: Sequence[int], *, causal: bool = False, key: PRNGKeyArray
    ) -> None:
        k_down, k_up = jax.random.split(key)
        self.down_linear = Pointwise(fine, coarse, key=k_down)
        self.up_linear = Pointwise(coarse, fine, key=k_up)
        self.factors, self.causal = tuple(factors), causal

    def down(self, h_b: Float[Array, "c *space"]) -> Float[Array, "d *small"]:
        return self.down_linear(average_pool(h_b, self.factors, causal=self.causal))

    def up(
        self, h: Float[Array, "d *small"], h_a: Float[Array, "d *small"], h_b: Float[Array, "c *space"]
    ) -> Array:
        return nearest_up(self.up_linear(h - h_a), self.factors, causal=self.causal) + h_b
