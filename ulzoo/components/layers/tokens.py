"""Between grids (channels first) and tokens (positions, channels)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Array, Float


def to_tokens(x: Float[Array, "c *space"]) -> Float[Array, "n c"]:
    return x.reshape(x.shape[0], -1).T


def to_grid(tokens: Float[Array, "n c"], grid: Sequence[int]) -> Float[Array, "c *space"]:
    return tokens.T.reshape(-1, *grid)
