"""The Inception-v3 that FID, KID and the Inception score are defined by.

The graph that was published for Inception scores in 2015, with its 1008 outputs: average pools inside the
blocks count places inside the image alone, and the last block takes a maximum where the one before it takes a
mean. Other Inception-v3 networks have other pools, and give other distances.

Sources: Szegedy et al. 1512.00567, figures 5 to 7 and table 1; names of arrays as in the public conversions
of that graph's weights to PyTorch (pytorch-fid, torch-fidelity).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import nn
from jaxtyping import Array, Float

from ulzoo.metrics.networks.layers import Conv, Image, Linear, max_pool, mean_pool_3, take_linear
from ulzoo.weights.reading import Take

SIZE = 299
"""Pixels of a side that the network is given."""
SPARE = ("num_batches_tracked", "AuxLogits.")
_EPS = 1e-3


class Unit(eqx.Module):
    """Convolution, batch normalisation by fixed statistics (folded into it), ReLU."""

    conv: Conv

    def __call__(self, x: Image) -> Image:
        return nn.relu(self.conv(x))


class Chain(eqx.Module):
    """Units in a row, behind a pool or nothing."""

    pool: str = eqx.field(static=True)
    units: tuple[Unit, ...]

    def __call__(self, x: Image) -> Image:
        if self.pool == "mean":
            x = mean_pool_3(x)
        elif self.pool == "max":
            x = max_pool(x, 3, 1, 1)
        elif self.pool == "max_2":
            x = max_pool(x, 3, 2)
        for unit in self.units:
            x = unit(x)
        return x


class Split(eqx.Module):
    """A chain whose result two units take, side by side."""

    stem: Chain
    ends: tuple[Unit, Unit]

    def __call__(self, x: Image) -> Image:
        x = self.stem(x)
        return jnp.concatenate([end(x) for end in self.ends])


class Block(eqx.Module):
    """Branches, concatenated."""

    branches: tuple[Any, ...]

    def __call__(self, x: Image) -> Image:
        return jnp.concatenate([branch(x) for branch in self.branches])


class Inception(eqx.Module):
    """Image in [−1, 1] to features and logits."""

    early: tuple[Unit, ...]
    blocks: tuple[Block, ...]
    head: Linear

    def __call__(self, x: Image) -> dict[str, Float[Array, "k"]]:
        """(3, 299, 299) → `pool`, (2048,), the mean over space of the last block; `logits`, (1008,), without
        the bias, as the Inception score takes them; `biased_logits`, with it."""
        for index, unit in enumerate(self.early):
            x = unit(x)
            if index in (2, 4):
                x = max_pool(x, 3, 2)
        for block in self.blocks:
            x = block(x)
        pool = x.mean((1, 2))
        logits = pool @ jnp.asarray(self.head.weight).T
        return {"pool": pool, "logits": logits, "biased_logits": logits + self.head.bias}


def inception(take: Take) -> Inception:
    """The network from its arrays; widths are those of the arrays."""
    taker = _Taker(take)
    early = taker.chain(
        "",
        3,
        [
            ("Conv2d_1a_3x3", 3, 3, 2, 0),
            ("Conv2d_2a_3x3", 3, 3, 1, 0),
            ("Conv2d_2b_3x3", 3, 3, 1, 1),
            ("Conv2d_3b_1x1", 1, 1, 1, 0),
            ("Conv2d_4a_3x3", 3, 3, 1, 0),
        ],
    ).units
    width = _width(early[-1])
    blocks: list[Block] = []
    plan = [(_block_a, "5b"), (_block_a, "5c"), (_block_a, "5d"), (_block_b, "6a")]
    plan += [(_block_c, f"6{letter}") for letter in "bcde"] + [(_block_d, "7a")]
    plan += [(_block_e("mean"), "7b"), (_block_e("max"), "7c")]
    for make, name in plan:
        blocks.append(Block(make(taker, f"Mixed_{name}.", width)))
        width = sum(_out(branch, width) for branch in blocks[-1].branches)
    return Inception(early, tuple(blocks), take_linear(take, "fc", width))


Step = tuple[str, int, int, int, int]
"""Name, height and width of the kernel, stride, and whether the size is kept by padding."""


class _Taker:
    def __init__(self, take: Take) -> None:
        self.take = take

    def unit(self, name: str, inputs: int, height: int, width: int, stride: int, same: int) -> Unit:
        """A convolution and its normalisation as one convolution with a bias."""
        weight = self.take(f"{name}.conv.weight", None, inputs, height, width)
        count = len(weight)
        parts = ("weight", "bias", "running_mean", "running_var")
        scale, shift, mean, variance = (
            self.take(f"{name}.bn.{part}", count).astype(np.float64) for part in parts
        )
        factor = scale / np.sqrt(variance + _EPS)
        folded = (weight * factor[:, None, None, None]).astype(np.float32)
        pads = (((height // 2,) * 2, (width // 2,) * 2)) if same else ((0, 0), (0, 0))
        return Unit(Conv(folded, (shift - mean * factor).astype(np.float32), stride, pads))

    def chain(self, start: str, inputs: int, steps: Sequence[Step], pool: str = "") -> Chain:
        units = []
        for name, *size in steps:
            units.append(self.unit(f"{start}{name}", inputs, *size))
            inputs = _width(units[-1])
        return Chain(pool, tuple(units))


def _width(unit: Unit) -> int:
    return int(unit.conv.weight.shape[0])


def _out(branch: Any, inputs: int) -> int:
    if isinstance(branch, Split):
        return sum(map(_width, branch.ends))
    return _width(branch.units[-1]) if branch.units else inputs


def _block_a(taker: _Taker, name: str, inputs: int) -> tuple[Any, ...]:
    double = [
        ("branch3x3dbl_1", 1, 1, 1, 0),
        ("branch3x3dbl_2", 3, 3, 1, 1),
        ("branch3x3dbl_3", 3, 3, 1, 1),
    ]
    return (
        taker.chain(name, inputs, [("branch1x1", 1, 1, 1, 0)]),
        taker.chain(name, inputs, [("branch5x5_1", 1, 1, 1, 0), ("branch5x5_2", 5, 5, 1, 1)]),
        taker.chain(name, inputs, double),
        taker.chain(name, inputs, [("branch_pool", 1, 1, 1, 0)], "mean"),
    )


def _block_b(taker: _Taker, name: str, inputs: int) -> tuple[Any, ...]:
    double = [
        ("branch3x3dbl_1", 1, 1, 1, 0),
        ("branch3x3dbl_2", 3, 3, 1, 1),
        ("branch3x3dbl_3", 3, 3, 2, 0),
    ]
    return (
        taker.chain(name, inputs, [("branch3x3", 3, 3, 2, 0)]),
        taker.chain(name, inputs, double),
        Chain("max_2", ()),
    )


def _block_c(taker: _Taker, name: str, inputs: int) -> tuple[Any, ...]:
    single = [("branch7x7_1", 1, 1, 1, 0), ("branch7x7_2", 1, 7, 1, 1), ("branch7x7_3", 7, 1, 1, 1)]
    double = [("branch7x7dbl_1", 1, 1, 1, 0), ("branch7x7dbl_2", 7, 1, 1, 1), ("branch7x7dbl_3", 1, 7, 1, 1)]
    double += [("branch7x7dbl_4", 7, 1, 1, 1), ("branch7x7dbl_5", 1, 7, 1, 1)]
    return (
        taker.chain(name, inputs, [("branch1x1", 1, 1, 1, 0)]),
        taker.chain(name, inputs, single),
        taker.chain(name, inputs, double),
        taker.chain(name, inputs, [("branch_pool", 1, 1, 1, 0)], "mean"),
    )


def _block_d(taker: _Taker, name: str, inputs: int) -> tuple[Any, ...]:
    long = [("branch7x7x3_1", 1, 1, 1, 0), ("branch7x7x3_2", 1, 7, 1, 1), ("branch7x7x3_3", 7, 1, 1, 1)]
    return (
        taker.chain(name, inputs, [("branch3x3_1", 1, 1, 1, 0), ("branch3x3_2", 3, 3, 2, 0)]),
        taker.chain(name, inputs, [*long, ("branch7x7x3_4", 3, 3, 2, 0)]),
        Chain("max_2", ()),
    )


def _block_e(pool: str) -> Any:
    def make(taker: _Taker, name: str, inputs: int) -> tuple[Any, ...]:
        def split(stem: Chain, start: str) -> Split:
            width = _width(stem.units[-1])
            wide = taker.unit(f"{name}{start}a", width, 1, 3, 1, 1)
            return Split(stem, (wide, taker.unit(f"{name}{start}b", width, 3, 1, 1, 1)))

        single = taker.chain(name, inputs, [("branch3x3_1", 1, 1, 1, 0)])
        double = taker.chain(name, inputs, [("branch3x3dbl_1", 1, 1, 1, 0), ("branch3x3dbl_2", 3, 3, 1, 1)])
        return (
            taker.chain(name, inputs, [("branch1x1", 1, 1, 1, 0)]),
            split(single, "branch3x3_2"),
            split(double, "branch3x3dbl_3"),
            taker.chain(name, inputs, [("branch_pool", 1, 1, 1, 0)], pool),
        )

    return make


def narrow(factor: int) -> Any:
    """Shapes for `random_tensors`: every width of the published network divided by `factor`."""
    widths = _published_widths()

    def shape(name: str, sizes: tuple[int | None, ...]) -> tuple[int, ...]:
        first = 1008 if name.startswith("fc.") else max(1, widths.get(name, 0) // factor)
        return tuple(first if size is None else size for size in sizes)

    return shape


def _published_widths() -> dict[str, int]:
    """Outputs of each convolution (1512.00567, table 1)."""
    early = {"1a_3x3": 32, "2a_3x3": 32, "2b_3x3": 64, "3b_1x1": 80, "4a_3x3": 192}
    found = {f"Conv2d_{name}.conv.weight": width for name, width in early.items()}
    a = {"branch1x1": 64, "branch5x5_1": 48, "branch5x5_2": 64}
    a |= {"branch3x3dbl_1": 64, "branch3x3dbl_2": 96, "branch3x3dbl_3": 96}
    blocks: dict[str, dict[str, int]] = {
        "5b": a | {"branch_pool": 32},
        "5c": a | {"branch_pool": 64},
        "5d": a | {"branch_pool": 64},
        "6a": {"branch3x3": 384, "branch3x3dbl_1": 64, "branch3x3dbl_2": 96, "branch3x3dbl_3": 96},
        "7a": {"branch3x3_1": 192, "branch3x3_2": 320} | {f"branch7x7x3_{k}": 192 for k in range(1, 5)},
    }
    for letter, inner in zip("bcde", (128, 160, 160, 192), strict=True):
        branches = {f"branch7x7dbl_{k}": inner for k in range(1, 5)} | {"branch7x7dbl_5": 192}
        branches |= {"branch7x7_1": inner, "branch7x7_2": inner, "branch7x7_3": 192}
        blocks[f"6{letter}"] = branches | {"branch1x1": 192, "branch_pool": 192}
    e = {"branch1x1": 320, "branch3x3_1": 384, "branch3x3dbl_1": 448, "branch3x3dbl_2": 384}
    e |= {f"{name}{end}": 384 for name in ("branch3x3_2", "branch3x3dbl_3") for end in "ab"}
    blocks |= {"7b": e | {"branch_pool": 192}, "7c": e | {"branch_pool": 192}}
    for block, branches in blocks.items():
        found |= {f"Mixed_{block}.{name}.conv.weight": width for name, width in branches.items()}
    return found
