"""CLIP's two towers, those with a vision transformer: Radford et al. 2103.00020.

Sizes are those of the arrays; heads have 64 channels as in all published ones. Names of arrays as the
transformers library has them.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ulzoo.metrics.networks.layers import (
    Conv,
    Image,
    LayerNorm,
    Linear,
    Tokens,
    attention,
    take_linear,
    take_norm,
)
from ulzoo.weights.reading import Take

HEAD = 64
_EPS = 1e-5
SPARE = ("position_ids", "logit_scale")


class Layer(eqx.Module):
    """x + attention(norm x), then x + mlp(norm x), with the sigmoid's approximation of GELU."""

    norm1: LayerNorm
    qkv: tuple[Linear, Linear, Linear]
    out: Linear
    norm2: LayerNorm
    fc1: Linear
    fc2: Linear

    def __call__(self, x: Tokens, *, causal: bool) -> Tokens:
        y = self.norm1(x)
        q, k, v = (part(y) for part in self.qkv)
        x = x + self.out(attention(q, k, v, x.shape[-1] // HEAD, causal=causal))
        hidden = self.fc1(self.norm2(x))
        return x + self.fc2(hidden * jax.nn.sigmoid(1.702 * hidden))


class ImageTower(eqx.Module):
    """Image to its embedding, of length one."""

    patch: Conv
    cls: Any
    positions: Any
    before: LayerNorm
    layers: tuple[Layer, ...]
    after: LayerNorm
    projection: Linear

    def __call__(self, x: Image) -> Float[Array, "d"]:
        """(3, side, side), normalised → (d,)."""
        patches = self.patch(x)
        tokens = jnp.concatenate([self.cls[None], patches.reshape(len(patches), -1).T]) + self.positions
        tokens = self.before(tokens)
        for layer in self.layers:
            tokens = layer(tokens, causal=False)
        return _unit(self.projection(self.after(tokens[0])))

    @property
    def side(self) -> int:
        """Pixels of a side of the images it takes."""
        return round((len(self.positions) - 1) ** 0.5) * self.patch.stride


class TextTower(eqx.Module):
    """Tokens to their embedding, of length one."""

    tokens: Any
    positions: Any
    layers: tuple[Layer, ...]
    after: LayerNorm
    projection: Linear

    def __call__(self, ids: Int[Array, "n"], last: Int[Array, ""]) -> Float[Array, "d"]:
        """The embedding at the place `last`, which later ones have no part in."""
        x = jnp.asarray(self.tokens)[ids] + self.positions[: len(ids)]
        for layer in self.layers:
            x = layer(x, causal=True)
        return _unit(self.projection(self.after(x[last])))


class CLIP(eqx.Module):
    image: ImageTower
    text: TextTower


def _unit(x: Array) -> Array:
    return x / jnp.linalg.norm(x)


def clip(take: Take, *, image_depth: int, text_depth: int) -> CLIP:
    """Both towers from their arrays."""
    start = "vision_model."
    patch = take(f"{start}embeddings.patch_embedding.weight", None, 3, None, None)
    width, size = len(patch), patch.shape[-1]
    zeros = np.broadcast_to(np.float32(0), (width,))
    image = ImageTower(
        Conv(patch, zeros, size, ((0, 0), (0, 0))),
        take(f"{start}embeddings.class_embedding", width),
        take(f"{start}embeddings.position_embedding.weight", None, width),
        # Misspelt in the library, and so in every file.
        take_norm(take, f"{start}pre_layrnorm", width, _EPS),
        tuple(_layer(take, f"{start}encoder.layers.{place}.", width) for place in range(image_depth)),
        take_norm(take, f"{start}post_layernorm", width, _EPS),
        take_linear(take, "visual_projection", width, bias=False),
    )
    start = "text_model."
    tokens = take(f"{start}embeddings.token_embedding.weight", None, None)
    width = tokens.shape[1]
    text = TextTower(
        tokens,
        take(f"{start}embeddings.position_embedding.weight", None, width),
        tuple(_layer(take, f"{start}encoder.layers.{place}.", width) for place in range(text_depth)),
        take_norm(take, f"{start}final_layer_norm", width, _EPS),
        take_linear(take, "text_projection", width, len(image.projection.weight), bias=False),
    )
    return CLIP(image, text)


def _layer(take: Take, start: str, width: int) -> Layer:
    fc1 = take_linear(take, f"{start}mlp.fc1", width)
    parts = (f"{start}self_attn.{part}_proj" for part in "qkv")
    return Layer(
        take_norm(take, f"{start}layer_norm1", width, _EPS),
        tuple(take_linear(take, part, width, width) for part in parts),  # type: ignore[arg-type]
        take_linear(take, f"{start}self_attn.out_proj", width, width),
        take_norm(take, f"{start}layer_norm2", width, _EPS),
        fc1,
        take_linear(take, f"{start}mlp.fc2", len(fc1.weight), width),
    )


def depths(names: Any) -> tuple[int, int]:
    """Layers of the image and of the text tower."""
    found = []
    for tower in ("vision_model", "text_model"):
        start = f"{tower}.encoder.layers."
        numbers = {name.removeprefix(start).partition(".")[0] for name in names if name.startswith(start)}
        found.append(len(numbers))
    return found[0], found[1]


def small(name: str, sizes: tuple[int | None, ...]) -> tuple[int, ...]:
    """Shapes for `random_tensors` of a small network: width 64, 4 patches of 8 pixels, 40 tokens."""
    if name.endswith("patch_embedding.weight"):
        return (64, 3, 8, 8)
    if name.endswith("token_embedding.weight"):
        return (40, 64)
    ends = {"vision_model.embeddings.position_embedding.weight": 5}
    ends |= {"text_model.embeddings.position_embedding.weight": 16, "fc1.weight": 128}
    first = next((value for end, value in ends.items() if name.endswith(end)), 32)
    return tuple(first if size is None else size for size in sizes)
