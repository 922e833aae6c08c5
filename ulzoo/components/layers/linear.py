"""Linear maps over channels, convolutions, their initialisation. The one place that knows how we convolve."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.components.layers.space import channels_first, channels_last

DEAR = "dear"
"""Name of values that a stack's backward pass reads again rather than computes: `jax.checkpoint` knows it."""

ModuleT = TypeVar("ModuleT", bound=eqx.Module)


def zeroed(module: ModuleT) -> ModuleT:
    """The module with every float array zero: an output that starts at nothing."""
    return jax.tree.map(lambda leaf: jnp.zeros_like(leaf) if eqx.is_inexact_array(leaf) else leaf, module)


class Pointwise(eqx.Module):
    """A linear map over channels at every position (a 1×1 convolution over any number of axes)."""

    weight: Float[Array, "out in"]
    bias: Float[Array, "out"]

    def __init__(self, inputs: int, outputs: int, *, key: PRNGKeyArray) -> None:
        self.weight = jax.random.normal(key, (outputs, inputs)) * inputs**-0.5
        self.bias = jnp.zeros(outputs)

    def __call__(self, x: Float[Array, "in *space"]) -> Float[Array, "out *space"]:
        return channels_first(channels_last(x) @ self.weight.T + self.bias)


class Conv3(eqx.Module):
    """A size-preserving convolution with kernel 3 along each of any number of spatial axes.

    Attributes:
        scanned: the layer runs inside a scan (see `looped`). XLA's CPU convolution falls back to a scalar
            loop inside a `while` (measured 60 times slower at 32 channels, 8×8, forward and backward), so
            there, and only on CPU, the convolution is one matrix product over gathered neighbours. Elsewhere
            the native one is faster by 2 to 6, but for three spatial axes: there a training step on clips of
            16×32×32 took 2.5 times as long with it (jax 0.10.2, two cores).
        causal: along the first axis, time, the kernel reaches back two positions and not forward.
    """

    weight: Float[Array, "out in *kernel"]
    bias: Float[Array, "out"]
    scanned: bool = eqx.field(static=True)
    causal: bool = eqx.field(static=True, default=False)

    @classmethod
    def draw(
        cls,
        axes: int,
        inputs: int,
        outputs: int,
        *,
        scanned: bool = False,
        causal: bool = False,
        key: PRNGKeyArray,
    ) -> Conv3:
        weight = jax.random.normal(key, (outputs, inputs, *(3,) * axes)) * (inputs * 3**axes) ** -0.5
        return cls(weight=weight, bias=jnp.zeros(outputs), scanned=scanned, causal=causal)

    def __call__(self, x: Float[Array, "in *space"]) -> Float[Array, "out *space"]:
        return channels_first(self.last(channels_last(x)))

    def last(self, x: Float[Array, "*space in"]) -> Float[Array, "*space out"]:
        """The same with channels last."""
        native, gathered = (functools.partial(form, causal=self.causal) for form in (_native, _gathered))
        if self.scanned or x.ndim == 4:
            y = jax.lax.platform_dependent(x, self.weight, cpu=gathered, default=native)
        else:
            y = native(x, self.weight)
        return y + self.bias


def looped(module: ModuleT) -> ModuleT:
    """The module with its convolutions in the form for a scan, such as a sampler's."""

    def of(node: Any) -> Any:
        return dataclasses.replace(node, scanned=True) if isinstance(node, Conv3) else node

    return jax.tree.map(of, module, is_leaf=lambda node: isinstance(node, Conv3))


def _around(axes: int, causal: bool) -> list[tuple[int, int]]:
    """Zeros before and after each axis."""
    return [(2, 0) if causal and axis == 0 else (1, 1) for axis in range(axes)]


def _native(x: Array, weight: Array, *, causal: bool = False) -> Array:
    axes = x.ndim - 1
    around = _around(axes, causal)
    last = (0, axes + 1, *range(1, axes + 1))
    numbers = jax.lax.ConvDimensionNumbers(last, tuple(range(axes + 2)), last)
    return jax.lax.conv_general_dilated(x[None], weight, (1,) * axes, around, dimension_numbers=numbers)[0]


def _gathered(x: Array, weight: Array, *, causal: bool = False) -> Array:
    *space, channels = x.shape
    padded = jnp.pad(x, (*_around(len(space), causal), (0, 0)))
    shifts = itertools.product(range(3), repeat=len(space))
    windows = [tuple(slice(s, s + n) for s, n in zip(shift, space, strict=True)) for shift in shifts]
    neighbours = jnp.concatenate([padded[window] for window in windows], axis=-1)
    kernel = weight.reshape(*weight.shape[:2], -1)
    return neighbours @ kernel.transpose(2, 1, 0).reshape(len(windows) * channels, -1)


def project(linear: eqx.nn.Linear, tokens: Float[Array, "*n in"]) -> Float[Array, "*n out"]:
    """A linear map of every token, as one matrix product; rows stay rows whatever is batched."""
    mapped = tokens @ linear.weight.T
    return mapped if linear.bias is None else mapped + linear.bias


def dropout(x: Array, rate: float, key: PRNGKeyArray | None) -> Array:
    """Inverted dropout; off without a key."""
    if key is None or rate == 0.0:
        return x
    keep = checkpoint_name(jax.random.bernoulli(key, 1.0 - rate, x.shape), DEAR)
    return jnp.where(keep, x / (1.0 - rate), jnp.zeros_like(x))
