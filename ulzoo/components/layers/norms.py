"""Normalisation over channels, in float32, channels last.

Each divides by the deviation in place of multiplying with its inverse. The values are the same; but XLA's
compiler for CPU repeats what is cheap, such as a product, in everything that reads it, and then a block
computes the norms of all blocks before it again and again. A quotient is not cheap: it is computed once,
forward and backward.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def layer_norm(x: Float[Array, "*space c"]) -> Float[Array, "*space c"]:
    """Over channels, without parameters (the modulation scales and shifts)."""
    wide = x.astype(jnp.float32)
    centred = wide - wide.mean(-1, keepdims=True)
    variance = jnp.square(centred).mean(-1, keepdims=True)
    return (centred / jnp.sqrt(variance + 1e-6)).astype(x.dtype)


def rms_norm(norm: eqx.nn.RMSNorm, x: Float[Array, "*space c"]) -> Float[Array, "*space c"]:
    """`norm` of the channels at every position."""
    assert norm.weight is not None
    wide = x.astype(jnp.float32)
    scale = jnp.sqrt(jnp.square(wide).mean(-1, keepdims=True) + norm.eps)
    return (wide / scale * norm.weight).astype(x.dtype)


def group_norm(
    norm: eqx.nn.GroupNorm, x: Float[Array, "*space c"], *, causal: bool = False
) -> Float[Array, "*space c"]:
    """`norm` over positions and the channels of each group; `causal`: over each frame by itself."""
    if causal:
        return jax.vmap(lambda frame: group_norm(norm, frame))(x)
    assert norm.weight is not None
    assert norm.bias is not None
    size = x.shape[-1] // norm.groups

    def mean(a: Float[Array, "*space c"]) -> Float[Array, "c"]:
        # Positions first: sums of whole rows are the fast ones.
        by_channel = a.reshape(-1, a.shape[-1]).mean(0)
        return jnp.repeat(by_channel.reshape(norm.groups, size).mean(-1), size)

    wide = x.astype(jnp.float32)
    centred = wide - mean(wide)
    normal = centred / jnp.sqrt(mean(jnp.square(centred)) + norm.eps)
    return (normal * norm.weight + norm.bias).astype(x.dtype)
