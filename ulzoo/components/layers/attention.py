"""Self-attention over the positions of a grid of any number of axes, with rotary positions per axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ulzoo.components.layers.linear import project
from ulzoo.components.layers.norms import rms_norm
from ulzoo.components.layers.reach import Reach
from ulzoo.errors import InterfaceError


def rotary_angles(grid: Sequence[int], width: int) -> np.ndarray:
    """Angles (positions, width // 2): a head's pairs are dealt evenly to the axes of the grid."""
    pairs = width // 2
    shares = [pairs // len(grid) + (i < pairs % len(grid)) for i in range(len(grid))]
    coordinates = np.stack(np.meshgrid(*[np.arange(n) for n in grid], indexing="ij"), -1).reshape(
        -1, len(grid)
    )
    parts = [
        coordinates[:, axis, None] * 100.0 ** (-np.arange(share) / max(share, 1))
        for axis, share in enumerate(shares)
    ]
    return np.concatenate(parts, -1).astype(np.float32)


def rotate(x: Float[Array, "n h w"], angles: np.ndarray) -> Float[Array, "n h w"]:
    cos, sin = jnp.asarray(np.cos(angles), x.dtype)[:, None], jnp.asarray(np.sin(angles), x.dtype)[:, None]
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)


def attend(
    q: Float[Array, "n h w"],
    k: Float[Array, "m h w"],
    v: Float[Array, "m h w"],
    mask: Bool[Array, "n m"] | None = None,
) -> Float[Array, "n h w"]:
    """Σ_m softmax_m(q · k / √w) v, in float32 where it is summed; over the m where `mask` is true."""
    scores = jnp.einsum("nhw,mhw->hnm", q, k, preferred_element_type=jnp.float32) * q.shape[-1] ** -0.5
    scores = scores if mask is None else jnp.where(mask, scores, -jnp.inf)
    weights = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("hnm,mhw->nhw", weights, v)


class Attention(eqx.Module):
    """Multi-head attention with normalised queries and keys (keeps logits bounded in low precision).

    Tokens may be of a grid that is shorter along its first axis than the one it was built for.
    """

    qkv: eqx.nn.Linear
    out: eqx.nn.Linear
    norm_q: eqx.nn.RMSNorm
    norm_k: eqx.nn.RMSNorm
    heads: int = eqx.field(static=True)
    grid: tuple[int, ...] = eqx.field(static=True)
    reach: Reach = eqx.field(static=True)

    def __init__(
        self, width: int, heads: int, grid: Sequence[int], reach: Reach | None = None, *, key: PRNGKeyArray
    ) -> None:
        if width % heads or (width // heads) % 2:
            raise InterfaceError(f"{heads} heads do not divide width {width} into even parts", "heads")
        k_qkv, k_out = jax.random.split(key)
        self.qkv = eqx.nn.Linear(width, 3 * width, use_bias=False, key=k_qkv)
        self.out = eqx.nn.Linear(width, width, key=k_out)
        self.norm_q = eqx.nn.RMSNorm(width // heads, use_bias=False)
        self.norm_k = eqx.nn.RMSNorm(width // heads, use_bias=False)
        self.heads, self.grid = heads, tuple(grid)
        self.reach = Reach.of("full", None, grid) if reach is None else reach

    def __call__(self, tokens: Float[Array, "n d"], turn: int = 0) -> Float[Array, "n d"]:
        """`turn`: which of the turns of `reach` this block takes."""
        n, width = tokens.shape
        grid = (n // math.prod(self.grid[1:]), *self.grid[1:])
        head = width // self.heads
        qkv = project(self.qkv, tokens).reshape(n, 3, self.heads, head)
        q, k, v = qkv[:, 0], qkv[:, 1], qkv[:, 2]
        angles = rotary_angles(grid, head)
        q, k = rotate(rms_norm(self.norm_q, q), angles), rotate(rms_norm(self.norm_k, k), angles)
        return project(self.out, self.reach(attend, q, k, v, grid, turn).reshape(n, width))
