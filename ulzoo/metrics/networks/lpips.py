"""Learned perceptual distance: Zhang et al. 1801.03924, version 0.1 of its weights.

Two files: a classifier's convolutions (AlexNet or VGG-16, names of arrays as torchvision has them) and five
weightings of their channels (names as the authors publish them).
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import nn
from jaxtyping import Array, Float

from ulzoo.metrics.networks.layers import Conv, Image, max_pool, take_conv
from ulzoo.weights.reading import Take

# What the authors' inputs in [−1, 1] are shifted and scaled by, in place of ImageNet's mean and deviation.
_SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)
_TINY = 1e-10

# (place among torchvision's `features`, kernel, stride, padding); a name stands for a pool before the next
# one, a mark for where features are taken.
_ALEX: tuple[Any, ...] = ((0, 11, 4, 2), "take", "pool", (3, 5, 1, 2), "take", "pool")
_ALEX += ((6, 3, 1, 1), "take", (8, 3, 1, 1), "take", (10, 3, 1, 1), "take")
_VGG: tuple[Any, ...] = ((0, 3, 1, 1), (2, 3, 1, 1), "take", "pool", (5, 3, 1, 1), (7, 3, 1, 1), "take")
_VGG += ("pool", (10, 3, 1, 1), (12, 3, 1, 1), (14, 3, 1, 1), "take")
_VGG += ("pool", (17, 3, 1, 1), (19, 3, 1, 1), (21, 3, 1, 1), "take")
_VGG += ("pool", (24, 3, 1, 1), (26, 3, 1, 1), (28, 3, 1, 1), "take")
PLANS: dict[str, tuple[Any, ...]] = {"alex": _ALEX, "vgg": _VGG}
POOLS = {"alex": 3, "vgg": 2}
"""Size of the pools, whose stride is 2."""
SMALLEST = {"alex": 31, "vgg": 16}
"""Pixels of a side below which nothing is left after the last pool."""
SPARE = ("classifier.",)


class Backbone(eqx.Module):
    """Convolutions with ReLU, and pools; gives the features of five places."""

    convolutions: tuple[Conv, ...]
    network: str = eqx.field(static=True)

    def __call__(self, x: Image) -> list[Image]:
        found, rest = [], list(self.convolutions)
        for step in PLANS[self.network]:
            if step == "take":
                found.append(x)
            elif step == "pool":
                x = max_pool(x, POOLS[self.network], 2)
            else:
                x = nn.relu(rest.pop(0)(x))
        return found


class LPIPS(eqx.Module):
    """Distance of two images in [−1, 1], (3, h, w)."""

    backbone: Backbone
    heads: tuple[Any, ...]

    def __call__(self, x: Image, y: Image) -> Float[Array, ""]:
        """Over places: the squared difference of features of length one, weighted by channel, mean over
        space; summed."""
        total = jnp.zeros(())
        pairs = zip(self._features(x), self._features(y), self.heads, strict=True)
        for one, other, head in pairs:
            total += jnp.einsum("chw,c->hw", jnp.square(one - other), head).mean()
        return total

    def _features(self, x: Image) -> list[Image]:
        scaled = (x - _SHIFT[:, None, None]) / _SCALE[:, None, None]
        return [_unit(features) for features in self.backbone(scaled)]


def _unit(x: Image) -> Image:
    return x / (jnp.sqrt(jnp.square(x).sum(0, keepdims=True)) + _TINY)


def backbone(take: Take, network: str) -> Backbone:
    """The convolutions of `alex` or `vgg` from their arrays."""
    inputs, made = 3, []
    for step in PLANS[network]:
        if isinstance(step, tuple):
            place, size, stride, padding = step
            conv = take_conv(take, f"features.{place}", inputs, size, stride=stride, padding=padding)
            made.append(conv)
            inputs = len(conv.weight)
    return Backbone(tuple(made), network)


def heads(take: Take, widths: tuple[int, ...]) -> tuple[Any, ...]:
    """Weights of the channels of five places."""
    return tuple(
        take(f"lin{place}.model.1.weight", 1, width, 1, 1).reshape(width)
        for place, width in enumerate(widths)
    )


def widths_of(made: Backbone) -> tuple[int, ...]:
    """Channels of the five places."""
    widths, rest = [], list(made.convolutions)
    last = 3
    for step in PLANS[made.network]:
        if step == "take":
            widths.append(last)
        elif step != "pool":
            last = len(rest.pop(0).weight)
    return tuple(widths)
