"""Residual U-ViT of SiD2 (Hoogeboom et al. 2410.19324): the paper's decoder network (Heek et al. 2026, §4).

Patching, convolutional levels on the way down and up, a transformer at the coarsest level. Dropout on
the transformer level only (SiD2: low-resolution levels only).
"""

from __future__ import annotations

import functools
import math
from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field, model_validator

from ulzoo.components.layers.blocks import conv_stack, keys_or_none, transformer_stack
from ulzoo.components.layers.levels import Rescale
from ulzoo.components.layers.linear import Conv3, Pointwise, zeroed
from ulzoo.components.layers.modulation import Embedding, Modulation
from ulzoo.components.layers.norms import group_norm
from ulzoo.components.layers.reach import AttentionKind, Reach, check_window
from ulzoo.components.layers.space import (
    channels_first,
    channels_last,
    depth_to_space,
    divided,
    per_axis,
    space_to_depth,
)
from ulzoo.components.layers.spatial import SpatialEntry
from ulzoo.components.layers.stack import Stack
from ulzoo.components.layers.tokens import placed, to_grid, to_tokens
from ulzoo.interfaces import AbstractDenoiser, Condition, NetworkIO, Scalar
from ulzoo.spec import Component, Effect
from ulzoo.spec.effect import Later


class UViT(AbstractDenoiser):
    patch_in: Conv3
    embedding: Embedding
    entries: tuple[SpatialEntry, ...]
    down: tuple[Stack, ...]
    up: tuple[Stack, ...]
    rescales: tuple[Rescale, ...]
    position: Float[Array, "n d"]
    middle: Stack
    norm: eqx.nn.GroupNorm
    modulation: Modulation
    patch_out: Pointwise
    patch: tuple[int, ...] = eqx.field(static=True)
    grid: tuple[int, ...] = eqx.field(static=True)
    causal: bool = eqx.field(static=True)

    def __init__(self, config: UViTConfig, io: NetworkIO, *, key: PRNGKeyArray) -> None:
        axes = len(io.shape) - 1
        keys = iter(jax.random.split(key, 6 + 4 * len(config.channels) + 2))
        self.patch = per_axis(config.patch, axes, "patch")
        self.causal = causal = config.causal
        grid = divided(io.shape[1:], self.patch, "patch", causal=causal)
        patch_channels = io.shape[0] * math.prod(self.patch)
        widths, embedding = (*config.channels, config.width), config.embedding_width
        self.patch_in = Conv3.draw(axes, patch_channels, widths[0], causal=causal, key=next(keys))
        self.embedding = Embedding(embedding, io.condition.vector, key=next(keys))
        entries, down, up, rescales = [], [], [], []
        for i, channels in enumerate(config.channels):
            stack = functools.partial(
                conv_stack,
                axes,
                channels,
                config.blocks[i],
                embedding,
                0.0,
                remat=config.remat,
                causal=causal,
            )
            entries.append(SpatialEntry(io.condition, grid, channels, causal=causal, key=next(keys)))
            down.append(stack(key=next(keys)))
            up.append(stack(key=next(keys)))
            factors = per_axis(config.factors[i] if config.factors else 2, axes, f"factors.{i}")
            grid = divided(grid, factors, f"factors.{i}", causal=causal)
            rescales.append(Rescale(channels, widths[i + 1], factors, causal=causal, key=next(keys)))
        self.grid = grid
        entries.append(SpatialEntry(io.condition, grid, config.width, causal=causal, key=next(keys)))
        self.entries, self.down, self.up, self.rescales = (
            tuple(entries),
            tuple(down),
            tuple(up),
            tuple(rescales),
        )
        self.position = 0.02 * jax.random.normal(next(keys), (math.prod(grid), config.width))
        self.middle = transformer_stack(
            config.width,
            config.heads,
            grid,
            embedding,
            config.dropout,
            config.depth,
            Reach.of(config.attention, config.window, grid, causal=causal),
            remat=config.remat,
            key=next(keys),
        )
        self.norm = eqx.nn.GroupNorm(1, widths[0])
        self.modulation = Modulation(embedding, widths[0], 2, key=next(keys))
        self.patch_out = zeroed(Pointwise(widths[0], patch_channels, key=next(keys)))

    def __call__(
        self,
        z_t: Float[Array, "c *space"],
        log_snr: Scalar,
        condition: Condition,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "c *space"]:
        embedding = self.embedding(log_snr, condition)
        levels = len(self.down)
        keys = keys_or_none(key, 2 * levels + 1)
        h = self.patch_in(space_to_depth(z_t, self.patch, causal=self.causal))
        skips = []
        for i in range(levels):
            h = self.down[i](self.entries[i](h, condition), embedding, key=keys[i])
            h_a = self.rescales[i].down(h)
            skips.append((h, h_a))
            h = h_a
        tokens = placed(to_tokens(self.entries[-1](h, condition)), self.position)
        h = to_grid(self.middle(tokens, embedding, key=keys[levels]), self.grid)
        for i in reversed(range(levels)):
            h_b, h_a = skips[i]
            h = self.up[i](self.rescales[i].up(h, h_a, h_b), embedding, key=keys[levels + 1 + i])
        scale, shift = self.modulation(embedding)
        normal = group_norm(self.norm, channels_last(h), causal=self.causal)
        h = channels_first(normal * (1 + scale) + shift)
        return depth_to_space(self.patch_out(jax.nn.silu(h)), self.patch, causal=self.causal)


class UViTConfig(Component):
    """Residual U-ViT. Source: Hoogeboom et al. 2410.19324 (SiD2); Heek et al. 2026, §4."""

    type: Literal["ulzoo.uvit.v1"] = "ulzoo.uvit.v1"
    example: ClassVar = {
        "channels": [8],
        "blocks": [1],
        "width": 8,
        "depth": 1,
        "heads": 1,
        "embedding_width": 8,
        "dropout": 0.1,
    }
    channels: tuple[int, ...] = Field(min_length=1)
    """Channels of the convolutional levels, finest first."""
    blocks: tuple[int, ...] = Field(min_length=1)
    """Residual blocks of each convolutional level, on the way down and again on the way up."""
    width: int = Field(ge=8)
    """Channels of the transformer at the coarsest level."""
    depth: int = Field(ge=1)
    """Transformer blocks at the coarsest level."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; must divide `width` into even parts."""
    patch: int | tuple[int, ...] = 2
    """Edge of a patch in pixels, one number or one for each spatial axis."""
    factors: tuple[int | tuple[int, ...], ...] | None = None
    """Down-sampling below each convolutional level, one number or one for each axis; null: 2 everywhere."""
    attention: Annotated[AttentionKind, Later()] = "full"
    """What the transformer's tokens attend to: all others; `factorised`, over all axes but the first and
    along the first (space and time) in turn, a block each; or `windowed`."""
    window: Annotated[int | tuple[int, ...] | None, Later()] = None
    """Edge of an attention window in tokens, one number or one for each spatial axis; every second block's
    are moved by half of it, those at the edges are smaller. Exactly for windowed attention."""
    causal: Annotated[bool, Later()] = False
    """Causal in time, the first axis: what is put out for a frame depends on it and earlier ones alone. The
    first frame is a patch by itself, so that frames must be 1 + a multiple of patch and factors in time."""
    embedding_width: int = Field(default=256, ge=8)
    """Width of the embedding of log-SNR and vector condition."""
    dropout: Annotated[float, Effect.OBJECTIVE] = Field(default=0.0, ge=0, lt=1)
    """Dropout rate inside the transformer while training (SiD2: low-resolution levels only)."""
    remat: Annotated[bool | Literal["products"], Effect.PERFORMANCE] = False
    """Recompute a block's activations in the backward pass: less memory, a third more compute.
    `products`: keep products with weights and recompute the rest (norms, attention): between the two."""

    @model_validator(mode="after")
    def _levels_agree(self) -> UViTConfig:
        check_window(self.attention, self.window)
        if len(self.blocks) != len(self.channels):
            raise ValueError(f"blocks has {len(self.blocks)} entries, but channels has {len(self.channels)}")
        if self.factors is not None and len(self.factors) != len(self.channels):
            raise ValueError(
                f"factors has {len(self.factors)} entries, but channels has {len(self.channels)}"
            )
        return self

    def build(self, io: NetworkIO, *, key: PRNGKeyArray) -> UViT:
        """Raises InterfaceError if patch, factors or heads do not fit, or a window is too large."""
        return UViT(self, io, key=key)
