"""Changes of resolution over any number of spatial axes, channels first, unbatched.

Where `causal` is said, the first axis is time and its first position is a group by itself, however large
the groups after it: 1 + k·f frames become 1 + k. On the way down the first frame stands for a whole group of
equal ones; on the way up only the last of its group is kept. So one frame alone goes all the way.
"""

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


def divided(
    space: Sequence[int], factors: Sequence[int], what: str, *, causal: bool = False
) -> tuple[int, ...]:
    """Spatial extents after division.

    Raises:
        InterfaceError: if an extent is not a multiple of its factor, or (causal) time not one more than that,
            or there is no time.
    """
    if causal:
        if len(space) < 3:
            raise InterfaceError(f"{tuple(space)} has no axis of time: (frames, height, width)", "causal")
        if (space[0] - 1) % factors[0]:
            text = f"{space[0]} frames are not 1 + a multiple of {factors[0]}, as causal in time needs"
            raise InterfaceError(text, what)
        return (1 + (space[0] - 1) // factors[0], *divided(space[1:], factors[1:], what))
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


def _led_in(x: Array, factors: Sequence[int], causal: bool) -> Array:
    """(c, 1 + k·f, …) → (c, (1 + k)·f, …) if causal: the first frame stands f times."""
    if not causal or factors[0] == 1:
        return x
    return jnp.concatenate([jnp.repeat(x[:, :1], factors[0] - 1, axis=1), x], axis=1)


def _led_out(x: Array, factors: Sequence[int], causal: bool) -> Array:
    """Inverse of `_led_in`."""
    return x[:, factors[0] - 1 :] if causal and factors[0] > 1 else x


def space_to_depth(
    x: Float[Array, "c *space"], factors: Sequence[int], *, causal: bool = False
) -> Float[Array, "c2 *small"]:
    """Patching: every patch of `factors` becomes channels; loses nothing."""
    x = _led_in(x, factors, causal)
    axes = len(factors)
    split = _split(x, factors)
    order = [0, *(2 + 2 * i for i in range(axes)), *(1 + 2 * i for i in range(axes))]
    small = [split.shape[1 + 2 * i] for i in range(axes)]
    return split.transpose(order).reshape(x.shape[0] * math.prod(factors), *small)


def depth_to_space(
    x: Float[Array, "c2 *small"], factors: Sequence[int], *, causal: bool = False
) -> Float[Array, "c *space"]:
    """Inverse of `space_to_depth`."""
    axes = len(factors)
    channels = x.shape[0] // math.prod(factors)
    split = x.reshape(channels, *factors, *x.shape[1:])
    order = [0]
    for i in range(axes):
        order += [1 + axes + i, 1 + i]
    large = [extent * factor for extent, factor in zip(x.shape[1:], factors, strict=True)]
    return _led_out(split.transpose(order).reshape(channels, *large), factors, causal)


def average_pool(
    x: Float[Array, "c *space"], factors: Sequence[int], *, causal: bool = False
) -> Float[Array, "c *small"]:
    x = _led_in(x, factors, causal)
    last = channels_last(x)
    split = last.reshape(*_split(x, factors).shape[1:], x.shape[0])
    return channels_first(split.mean(axis=tuple(1 + 2 * i for i in range(len(factors)))))


def nearest_up(
    x: Float[Array, "c *small"], factors: Sequence[int], *, causal: bool = False
) -> Float[Array, "c *space"]:
    last = channels_last(x)
    for axis, factor in enumerate(factors):
        last = jnp.repeat(last, factor, axis=axis) if factor > 1 else last
    return _led_out(channels_first(last), factors, causal)


def fitting(
    have: Sequence[int], want: Sequence[int], what: str, *, causal: bool = False
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Factors down and up that bring spatial extents `have` to `want`: what `fit` is given.

    Raises:
        InterfaceError: if an axis of one is not a multiple of the other's, or one has more axes.
    """
    if len(have) != len(want):
        raise InterfaceError(f"{tuple(have)} and {tuple(want)} differ in their number of axes", what)
    down, up = [], []
    for axis, (here, there) in enumerate(zip(have, want, strict=True)):
        # The first frame stands by itself.
        here, there = (here - 1, there - 1) if causal and axis == 0 else (here, there)
        if here == there:
            factors = 1, 1
        elif not here or not there or (there % here and here % there):
            beyond = ", beyond the first frame" if causal else ""
            text = f"{tuple(have)} and {tuple(want)} are not multiples of each other{beyond}"
            raise InterfaceError(text, what)
        else:
            factors = max(1, here // there), max(1, there // here)
        down.append(factors[0])
        up.append(factors[1])
    return tuple(down), tuple(up)


def fit(
    x: Float[Array, "c *have"], down: Sequence[int], up: Sequence[int], *, causal: bool = False
) -> Float[Array, "c2 *space"]:
    """`x` at another resolution: coarser input is repeated, finer input folded into channels."""
    return nearest_up(space_to_depth(x, down, causal=causal), up, causal=causal)


def decoded_shape(
    latent: Sequence[int], data: Sequence[int], latent_frames: int, *, causal: bool
) -> tuple[int, ...]:
    """Shape of the data that a latent of shape `latent` is of, where a whole one is of shape `data`.

    Args:
        latent_frames: first extent of a whole latent; 0 if there is no other.
    """
    frames, first = data[1], 1 if causal else 0
    if latent[1] != latent_frames and latent_frames > first:
        frames = first + (latent[1] - first) * (frames - first) // (latent_frames - first)
    return (data[0], frames, *data[2:])
