"""Changes of resolution over any number of spatial axes, channels first, unbatched."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from ulzoo.errors import InterfaceError

Factor = int | tuple[int, ...]


def per_axis(factor: Factor | Sequence[int], axes: int, what: str) -> tuple[int, ...]:
    """One factor for each spatial axis; a single integer stands for all of them.

    Raises:
        InterfaceError: if a list of another length than the number of spatial axes is given.
    """
    factors = (factor,) * axes if isinstance(factor, int) else tuple(factor)
    if len(factors) != axes:
        raise InterfaceError(
            f"{list(factors)} has {len(factors)} entries, but the data has {axes} spatial axes", what
        )
    if min(factors) < 1:
        raise InterfaceError(f"{list(factors)} must be positive", what)
    return factors


def divided(space: Sequence[int], factors: Sequence[int], what: str) -> tuple[int, ...]:
    """Spatial extents after division.

    Raises:
        InterfaceError: if an extent is not a multiple of its factor.
    """
    if any(extent % factor for extent, factor in zip(space, factors, strict=True)):
        raise InterfaceError(f"extents {tuple(space)} are not multiples of {tuple(factors)}", what)
    return tuple(extent // factor for extent, factor in zip(space, factors, strict=True))


def channels_last(x: Float[Array, "c *space"]) -> Float[Array, "*space c"]:
    """For layers that compute so: a GEMM over channels then has positions, and the batch, as its rows.

    Layers turn round at their borders; where two meet, the compiler finds nothing to do.
    """
    return jnp.moveaxis(x, 0, -1)


def channels_first(x: Float[Array, "*space c"]) -> Float[Array, "c *space"]:
    return jnp.moveaxis(x, -1, 0)


def _split(x: Float[Array, "c *space"], factors: Sequence[int]) -> Array:
    """(c, s₁·f₁, s₂·f₂, …) → (c, s₁, f₁, s₂, f₂, …)."""
    shape = [x.shape[0]]
    for extent, factor in zip(x.shape[1:], factors, strict=True):
        shape += [extent // factor, factor]
    return x.reshape(shape)


def space_to_depth(x: Float[Array, "c *space"], factors: Sequence[int]) -> Float[Array, "c2 *small"]:
    """Patching: every patch of `factors` becomes channels; loses nothing."""
    axes = len(factors)
    split = _split(x, factors)
    order = [0, *(2 + 2 * i for i in range(axes)), *(1 + 2 * i for i in range(axes))]
    small = [split.shape[1 + 2 * i] for i in range(axes)]
    return split.transpose(order).reshape(x.shape[0] * math.prod(factors), *small)


def depth_to_space(x: Float[Array, "c2 *small"], factors: Sequence[int]) -> Float[Array, "c *space"]:
    """Inverse of `space_to_depth`."""
    axes = len(factors)
    channels = x.shape[0] // math.prod(factors)
    split = x.reshape(channels, *factors, *x.shape[1:])
    order = [0]
    for i in range(axes):
        order += [1 + axes + i, 1 + i]
    large = [extent * factor for extent, factor in zip(x.shape[1:], factors, strict=True)]
    return split.transpose(order).reshape(channels, *large)


def average_pool(x: Float[Array, "c *space"], factors: Sequence[int]) -> Float[Array, "c *small"]:
    last = channels_last(x)
    split = last.reshape(*_split(x, factors).shape[1:], x.shape[0])
    return channels_first(split.mean(axis=tuple(1 + 2 * i for i in range(len(factors)))))


def nearest_up(x: Float[Array, "c *small"], factors: Sequence[int]) -> Float[Array, "c *space"]:
    last = channels_last(x)
    for axis, factor in enumerate(factors):
        last = jnp.repeat(last, factor, axis=axis) if factor > 1 else last
    return channels_first(last)


def fitted(shape: Sequence[int], space: Sequence[int], what: str) -> tuple[int, ...]:
    """Shape of what `fit` returns.

    Raises:
        InterfaceError: if an axis of one is not a multiple of the other's, or one has more axes.
    """
    channels = shape[0]
    if len(shape) - 1 != len(space):
        raise InterfaceError(f"{tuple(shape[1:])} and {tuple(space)} differ in their number of axes", what)
    for have, want in zip(shape[1:], space, strict=True):
        if want % have and have % want:
            raise InterfaceError(
                f"{tuple(shape[1:])} and {tuple(space)} are not multiples of each other", what
            )
        channels *= max(1, have // want)
    return (channels, *space)


def fit(x: Float[Array, "c *have"], space: Sequence[int]) -> Float[Array, "c2 *space"]:
    """`x` at the spatial extents `space`: coarser input is repeated, finer input folded into channels."""
    down = [max(1, have // want) for have, want in zip(x.shape[1:], space, strict=True)]
    up = [max(1, want // have) for have, want in zip(x.shape[1:], space, strict=True)]
    return nearest_up(space_to_depth(x, down), up)
