"""Between grids (channels first) and tokens (positions, channels)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Array, Float

from ulzoo.components.layers.space import channels_first, channels_last


def to_tokens(x: Float[Array, "c *space"]) -> Float[Array, "n c"]:
    return channels_last(x).reshape(-1, x.shape[0])


def to_grid(tokens: Float[Array, "n c"], grid: Sequence[int]) -> Float[Array, "c *space"]:
    return channels_first(tokens.reshape(*grid, -1))
