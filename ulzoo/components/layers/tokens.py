"""Between grids (channels first) and tokens (positions, channels)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Array, Float

from ulzoo.components.layers.space import channels_first, channels_last


def to_tokens(x: Float[Array, "c *space"]) -> Float[Array, "n c"]:
    return channels_last(x).reshape(-1, x.shape[0])


def to_grid(tokens: Float[Array, "n c"], grid: Sequence[int]) -> Float[Array, "c *space"]:
    """The grid's first extent follows the number of tokens: a clip may be shorter."""
    return channels_first(tokens.reshape(-1, *grid[1:], tokens.shape[-1]))


def placed(tokens: Float[Array, "n c"], position: Float[Array, "m c"]) -> Float[Array, "n c"]:
    """Tokens with their learned positions; where there are fewer, they are the first ones: a shorter clip."""
    return tokens + (position if len(tokens) == len(position) else position[: len(tokens)])
