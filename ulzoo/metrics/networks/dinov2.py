"""The vision transformers of DINOv2, without registers: Oquab et al. 2304.07193.

Size is that of the arrays: width, depth and patch are read off them, heads have 64 channels as in all
published ones. Names of arrays as the authors publish them, or as the transformers library has them.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ulzoo.metrics.networks.layers import (
    Conv,
    Image,
    LayerNorm,
    Linear,
    Tokens,
    attention,
    take_conv,
    take_linear,
    take_norm,
)
from ulzoo.weights.reading import Take

HEAD = 64
_EPS = 1e-6
SPARE = ("mask_token", "mask_tokens")


class Block(eqx.Module):
    """x + γ·attention(norm x), then x + γ·mlp(norm x)."""

    norm1: LayerNorm
    qkv: tuple[Linear, Linear, Linear]
    out: Linear
    scale1: Any
    norm2: LayerNorm
    fc1: Linear
    fc2: Linear
    scale2: Any

    def __call__(self, x: Tokens) -> Tokens:
        y = self.norm1(x)
        q, k, v = (part(y) for part in self.qkv)
        mixed = attention(q, k, v, x.shape[-1] // HEAD)
        x = x + self.scale1 * self.out(mixed)
        hidden = jax.nn.gelu(self.fc1(self.norm2(x)), approximate=False)
        return x + self.scale2 * self.fc2(hidden)


class DINOv2(eqx.Module):
    """Image, normalised as ImageNet's, to the class token's features."""

    patch: Conv
    cls: Any
    positions: Any
    blocks: tuple[Block, ...]
    norm: LayerNorm

    def __call__(self, x: Image) -> Float[Array, "d"]:
        """(3, h, w), h and w multiples of the patch → (d,)."""
        patches = self.patch(x)
        count = int(np.prod(patches.shape[1:]))
        if count + 1 != len(self.positions):
            raise ValueError(f"positions for {len(self.positions) - 1} patches, not {count}")
        tokens = jnp.concatenate([self.cls[None], patches.reshape(len(patches), -1).T]) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[0]


def dinov2(take: Take, *, depth: int, layout: str, grid: int, offset: float) -> DINOv2:
    """The network from its arrays.

    Args:
        depth: blocks.
        layout: "dinov2" or "transformers": how arrays are named.
        grid: patches of a side that images will have; positions are resized to that.
        offset: of the resizing of positions, see `resized_positions`.
    """
    theirs = layout == "dinov2"
    patch_name = "patch_embed.proj" if theirs else "embeddings.patch_embeddings.projection"
    patch_weight = take(f"{patch_name}.weight", None, 3, None, None)
    width, size = len(patch_weight), patch_weight.shape[-1]
    patch = take_conv(take, patch_name, 3, size, stride=size)
    cls = take("cls_token" if theirs else "embeddings.cls_token", 1, 1, width)[0, 0]
    positions = take("pos_embed" if theirs else "embeddings.position_embeddings", 1, None, width)[0]
    make = _own_block if theirs else _library_block
    blocks = tuple(make(take, place, width) for place in range(depth))
    norm = take_norm(take, "norm" if theirs else "layernorm", width, _EPS)
    return DINOv2(patch, cls, resized_positions(positions, grid, offset), blocks, norm)


def _own_block(take: Take, place: int, width: int) -> Block:
    start = f"blocks.{place}."
    weight, bias = take(f"{start}attn.qkv.weight", 3 * width, width), take(f"{start}attn.qkv.bias", 3 * width)
    cuts = [slice(k * width, (k + 1) * width) for k in range(3)]
    fc1 = take_linear(take, f"{start}mlp.fc1", width)
    return Block(
        take_norm(take, f"{start}norm1", width, _EPS),
        tuple(Linear(weight[cut], bias[cut]) for cut in cuts),  # type: ignore[arg-type]
        take_linear(take, f"{start}attn.proj", width, width),
        take(f"{start}ls1.gamma", width),
        take_norm(take, f"{start}norm2", width, _EPS),
        fc1,
        take_linear(take, f"{start}mlp.fc2", len(fc1.weight), width),
        take(f"{start}ls2.gamma", width),
    )


def _library_block(take: Take, place: int, width: int) -> Block:
    start = f"encoder.layer.{place}."
    fc1 = take_linear(take, f"{start}mlp.fc1", width)
    parts = ("query", "key", "value")
    return Block(
        take_norm(take, f"{start}norm1", width, _EPS),
        tuple(take_linear(take, f"{start}attention.attention.{part}", width, width) for part in parts),  # type: ignore[arg-type]
        take_linear(take, f"{start}attention.output.dense", width, width),
        take(f"{start}layer_scale1.lambda1", width),
        take_norm(take, f"{start}norm2", width, _EPS),
        fc1,
        take_linear(take, f"{start}mlp.fc2", len(fc1.weight), width),
        take(f"{start}layer_scale2.lambda1", width),
    )


def resized_positions(positions: np.ndarray, grid: int, offset: float) -> np.ndarray:
    """Embeddings of the places of a square grid, for another one: bicubic, not antialiased.

    Args:
        positions: (1 + n², d), the class token's first.
        grid: places of a side to make.
        offset: what is added to `grid` in the ratio of the two sizes: 0.1 in the authors' code, 0 in the
            transformers library.
    """
    side = round((len(positions) - 1) ** 0.5)
    if side == grid:
        return positions
    matrix = _bicubic(side, grid, side / (grid + offset))
    places = positions[1:].astype(np.float64).reshape(side, side, -1)
    made = np.einsum("ia,jb,abd->ijd", matrix, matrix, places).reshape(grid * grid, -1)
    return np.concatenate([positions[:1], made.astype(np.float32)])


def _bicubic(size: int, out: int, step: float) -> np.ndarray:
    """(out, size) weights of Keys' kernel with a = −¾; pixel centres at halves, edges repeated."""
    a = -0.75
    matrix = np.zeros((out, size))
    for row in range(out):
        place = (row + 0.5) * step - 0.5
        low = int(np.floor(place))
        for tap in range(low - 1, low + 3):
            x = abs(place - tap)
            near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
            matrix[row, min(max(tap, 0), size - 1)] += near if x <= 1 else far if x < 2 else 0.0
    return matrix


def layout_of(names: Any) -> tuple[str, int]:
    """How arrays are named, and the number of blocks."""
    layout = "dinov2" if "cls_token" in names else "transformers"
    start = "blocks." if layout == "dinov2" else "encoder.layer."
    numbers = {name.removeprefix(start).partition(".")[0] for name in names if name.startswith(start)}
    return layout, len(numbers)


def small(name: str, sizes: tuple[int | None, ...]) -> tuple[int, ...]:
    """Shapes for `random_tensors` of a small network: width 64, patch 14, positions of a 4 × 4 grid."""
    free = {"pos_embed": 17, "position_embeddings": 17, "fc1.weight": 128}
    first = next((value for end, value in free.items() if name.endswith(end)), 64)
    if "patch_embed" in name and len(sizes) == 4:
        return (64, 3, 14, 14)
    return tuple(first if size is None else size for size in sizes)
