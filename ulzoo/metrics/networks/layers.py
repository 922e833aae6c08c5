"""Layers of the networks that metrics look through: inference only, channels first, unbatched."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from ulzoo.weights.reading import Take

Image = Float[Array, "c h w"]
Tokens = Float[Array, "n d"]


class Conv(eqx.Module):
    """A convolution with bias."""

    weight: Any
    bias: Any
    stride: int = eqx.field(static=True)
    padding: tuple[tuple[int, int], tuple[int, int]] = eqx.field(static=True)

    def __call__(self, x: Image) -> Image:
        y = lax.conv_general_dilated(
            x[None],
            self.weight,
            (self.stride, self.stride),
            self.padding,
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
        )
        return y[0] + self.bias[:, None, None]


def take_conv(
    take: Take, name: str, inputs: int, size: int, *, stride: int = 1, padding: int = 0, bias: bool = True
) -> Conv:
    """A convolution by its name in the file; as many outputs as its weights have."""
    weight = take(f"{name}.weight", None, inputs, size, size)
    zeros = np.broadcast_to(np.float32(0), weight.shape[:1])
    return Conv(
        weight,
        take(f"{name}.bias", len(weight)) if bias else zeros,
        stride,
        ((padding, padding), (padding, padding)),
    )


def max_pool(x: Image, size: int, stride: int, padding: int = 0) -> Image:
    pads = ((0, 0), (padding, padding), (padding, padding))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size), (1, stride, stride), pads)


def mean_pool_3(x: Image) -> Image:
    """Mean over 3×3 places that are inside the image: what is beyond the edge is not counted."""
    pads = ((0, 0), (1, 1), (1, 1))

    def total(values: Any) -> Any:
        return lax.reduce_window(values, 0.0, lax.add, (1, 3, 3), (1, 1, 1), pads)

    return total(x) / total(jnp.ones((1, *x.shape[1:]), x.dtype))


class Linear(eqx.Module):
    """y = W x + b over the last axis."""

    weight: Any
    bias: Any

    def __call__(self, x: Array) -> Array:
        y = x @ jnp.asarray(self.weight).T
        return y if self.bias is None else y + self.bias


def take_linear(
    take: Take, name: str, inputs: int, outputs: int | None = None, *, bias: bool = True
) -> Linear:
    weight = take(f"{name}.weight", outputs, inputs)
    return Linear(weight, take(f"{name}.bias", len(weight)) if bias else None)


class LayerNorm(eqx.Module):
    """Over the last axis."""

    weight: Any
    bias: Any
    eps: float = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        return centred * lax.rsqrt(variance + self.eps) * self.weight + self.bias


def take_norm(take: Take, name: str, width: int, eps: float) -> LayerNorm:
    return LayerNorm(take(f"{name}.weight", width), take(f"{name}.bias", width), eps)


def attention(q: Tokens, k: Tokens, v: Tokens, heads: int, *, causal: bool = False) -> Tokens:
    """Scaled dot-product attention of `heads` heads side by side in the last axis."""
    n, width = q.shape
    q, k, v = (part.reshape(n, heads, width // heads) for part in (q, k, v))
    scores = jnp.einsum("nhd,mhd->hnm", q, k) / np.sqrt(width // heads)
    if causal:
        scores = jnp.where(np.tri(n, dtype=bool), scores, -jnp.inf)
    return jnp.einsum("hnm,mhd->nhd", jax.nn.softmax(scores, -1), v).reshape(n, width)
