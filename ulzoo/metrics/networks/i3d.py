"""I3D, trained on Kinetics-400: the network that the Fréchet video distance is defined by.

Inception-v1 inflated in time. Sources: Carreira & Zisserman 1705.07750, figure 3; widths of Szegedy et al.
1409.4842, table 1; names of arrays as in the two public ports of its weights to PyTorch (pytorch-i3d,
kinetics_i3d_pytorch). Convolutions and pools are padded as TensorFlow's SAME.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax, nn
from jaxtyping import Array, Float

from ulzoo.metrics.networks.layers import Linear
from ulzoo.weights.reading import Take

SIZE = 224
"""Pixels of a side that the network is given."""
LEAST_FRAMES = 9
"""The last pool takes the mean of two frames, each of which stands for eight."""
SPARE = ("num_batches_tracked",)
_EPS = 1e-3

Clip = Float[Array, "c t h w"]
Three = tuple[int, int, int]


class Unit(eqx.Module):
    """Convolution, batch normalisation by fixed statistics (folded into it), ReLU."""

    weight: Any
    bias: Any
    stride: int = eqx.field(static=True)

    def __call__(self, x: Clip) -> Clip:
        numbers = ("NCDHW", "OIDHW", "NCDHW")
        y = lax.conv_general_dilated(
            x[None], self.weight, (self.stride,) * 3, "SAME", dimension_numbers=numbers
        )
        return nn.relu(y[0] + self.bias[:, None, None, None])


class Pool(eqx.Module):
    """Maximum. What is beyond the edge counts as 0 in the published network; behind a ReLU that is to say
    that it does not count."""

    size: Three = eqx.field(static=True)
    stride: Three = eqx.field(static=True)

    def __call__(self, x: Clip) -> Clip:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, *self.size), (1, *self.stride), "SAME")


class Mixed(eqx.Module):
    """Four branches, concatenated: 1; 1 and 3; 1 and 3; a pool and 1."""

    branches: tuple[tuple[Any, ...], ...]

    def __call__(self, x: Clip) -> Clip:
        found = []
        for branch in self.branches:
            y = x
            for layer in branch:
                y = layer(y)
            found.append(y)
        return jnp.concatenate(found)


class I3D(eqx.Module):
    """Clip in [−1, 1] to features and logits."""

    layers: tuple[Any, ...]
    head: Linear

    def __call__(self, x: Clip) -> dict[str, Float[Array, "k"]]:
        """(3, t ≥ 9, 224, 224) → `pool`, (1024,), the mean over space and over pairs of frames; `logits`,
        (400,), of Kinetics-400's classes, before the softmax: what the distance is taken of."""
        for layer in self.layers:
            x = layer(x)
        frames = x.mean((2, 3))
        pool = (0.5 * (frames[:, 1:] + frames[:, :-1])).mean(1)
        return {"pool": pool, "logits": self.head(pool)}


WIDTHS: dict[str, Sequence[int]] = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
"""Outputs of a block's convolutions, in the order b0, b1a, b1b, b2a, b2b, b3b."""
_BRANCHES = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")


def i3d(take: Take, *, names: Callable[[str], str] = str) -> I3D:
    """The network from its arrays; widths are those of the arrays.

    Args:
        names: from the names of pytorch-i3d to those of the file.
    """

    def unit(name: str, inputs: int, size: int, stride: int = 1) -> Unit:
        weight = take(names(f"{name}.conv3d.weight"), None, inputs, size, size, size)
        parts = ("weight", "bias", "running_mean", "running_var")
        scale, shift, mean, variance = (
            take(names(f"{name}.bn.{part}"), len(weight)).astype(np.float64) for part in parts
        )
        factor = scale / np.sqrt(variance + _EPS)
        folded = (weight * factor[:, None, None, None, None]).astype(np.float32)
        return Unit(folded, (shift - mean * factor).astype(np.float32), stride)

    def mixed(name: str, inputs: int) -> Mixed:
        b0, b1a, b2a, b3b = (unit(f"{name}.{branch}", inputs, 1) for branch in ("b0", "b1a", "b2a", "b3b"))
        b1b = unit(f"{name}.b1b", len(b1a.bias), 3)
        b2b = unit(f"{name}.b2b", len(b2a.bias), 3)
        return Mixed(((b0,), (b1a, b1b), (b2a, b2b), (Pool((3, 3, 3), (1, 1, 1)), b3b)))

    first = unit("Conv3d_1a_7x7", 3, 7, 2)
    second = unit("Conv3d_2b_1x1", len(first.bias), 1)
    third = unit("Conv3d_2c_3x3", len(second.bias), 3)
    in_space, in_all = Pool((1, 3, 3), (1, 2, 2)), Pool((3, 3, 3), (2, 2, 2))
    layers: list[Any] = [first, in_space, second, third, in_space]
    width = len(third.bias)
    for block in WIDTHS:
        if block in ("4b", "5b"):
            layers.append(in_all if block == "4b" else Pool((2, 2, 2), (2, 2, 2)))
        layers.append(mixed(f"Mixed_{block}", width))
        width = sum(len(branch[-1].bias) for branch in layers[-1].branches)
    head = take(names("logits.conv3d.weight"), None, width, 1, 1, 1)
    return I3D(tuple(layers), Linear(head[:, :, 0, 0, 0], take(names("logits.conv3d.bias"), len(head))))


def i3d_of(entries: Iterable[str]) -> Callable[[Take], I3D]:
    """What takes the network out of a file that holds arrays of these names, of either port."""
    other = any(name.startswith("conv3d_1a_7x7.") for name in entries)
    return partial(i3d, names=_other_name) if other else i3d


_OTHER = {"b0": "branch_0", "b1a": "branch_1.0", "b1b": "branch_1.1", "b2a": "branch_2.0"}
_OTHER |= {"b2b": "branch_2.1", "b3b": "branch_3.1", "bn": "batch3d", "logits": "conv3d_0c_1x1"}


def _other_name(name: str) -> str:
    """As kinetics_i3d_pytorch calls it."""
    first, *rest = name.split(".")
    first = _OTHER.get(first, first[0].lower() + first[1:])
    return ".".join([first, *(_OTHER.get(part, part) for part in rest)])


def narrow(factor: int) -> Any:
    """Shapes for `random_tensors`: every width of the published network divided by `factor`, and 400
    classes."""
    widths = {"Conv3d_1a_7x7": 64, "Conv3d_2b_1x1": 64, "Conv3d_2c_3x3": 192, "logits": 400 * factor}
    for block, outputs in WIDTHS.items():
        pairs = zip(_BRANCHES, outputs, strict=True)
        widths |= {f"Mixed_{block}.{branch}": width for branch, width in pairs}

    def shape(name: str, sizes: tuple[int | None, ...]) -> tuple[int, ...]:
        layer = name.partition(".conv3d")[0]
        return tuple(max(1, widths[layer] // factor) if size is None else size for size in sizes)

    return shape
