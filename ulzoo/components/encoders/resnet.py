"""Residual convolutional encoder: the paper's (Heek et al. 2026, §4).

2×2 patching, ResNet stages of 128, 256, 512, 512 channels, 2 residual blocks a stage and 3 in the last:
16× down. Deterministic; the noise is added outside, at the one level that the prior knows.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field, model_validator

from ulzoo.components.layers.blocks import conv_stack, keys_or_none
from ulzoo.components.layers.linear import Conv3, Pointwise
from ulzoo.components.layers.norms import group_norm
from ulzoo.components.layers.space import (
    average_pool,
    channels_first,
    channels_last,
    divided,
    per_axis,
    space_to_depth,
)
from ulzoo.components.layers.stack import Stack
from ulzoo.interfaces import AbstractEncoder, EncoderIO, Shape
from ulzoo.spec import Component, Effect
from ulzoo.spec.effect import Later


class ResNet(AbstractEncoder):
    patch_in: Conv3
    stages: tuple[Stack, ...]
    downs: tuple[Pointwise, ...]
    norm: eqx.nn.GroupNorm
    out: Pointwise
    patch: tuple[int, ...] = eqx.field(static=True)
    factors: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    causal: bool = eqx.field(static=True)

    def __init__(self, config: ResNetConfig, io: EncoderIO, *, key: PRNGKeyArray) -> None:
        axes = len(io.data_shape) - 1
        keys = iter(jax.random.split(key, 2 + 2 * len(config.channels)))
        self.patch, self.factors = config.all_factors(axes)
        self.causal = config.causal
        patch_channels = io.data_shape[0] * math.prod(self.patch)
        self.patch_in = Conv3.draw(
            axes, patch_channels, config.channels[0], causal=self.causal, key=next(keys)
        )
        stages, downs = [], []
        for i, channels in enumerate(config.channels):
            if i:
                downs.append(Pointwise(config.channels[i - 1], channels, key=next(keys)))
            sizes = axes, channels, config.blocks[i], 0, config.dropout
            stages.append(conv_stack(*sizes, remat=config.remat, causal=self.causal, key=next(keys)))
        self.stages, self.downs = tuple(stages), tuple(downs)
        self.norm = eqx.nn.GroupNorm(1, config.channels[-1])
        self.out = Pointwise(config.channels[-1], io.moments * config.latent_channels, key=next(keys))

    def __call__(
        self, x: Float[Array, "c *space"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "m *latent"]:
        keys = keys_or_none(key, len(self.stages))
        h = self.patch_in(space_to_depth(x, self.patch, causal=self.causal))
        for i, stage in enumerate(self.stages):
            if i:
                h = self.downs[i - 1](average_pool(h, self.factors[i - 1], causal=self.causal))
            h = stage(h, None, key=keys[i])
        normal = group_norm(self.norm, channels_last(h), causal=self.causal)
        return self.out(jax.nn.silu(channels_first(normal)))


class ResNetConfig(Component):
    """Residual convolutional encoder. Source: Heek et al. 2026, §4."""

    type: Literal["ulzoo.resnet.v1"] = "ulzoo.resnet.v1"
    example: ClassVar = {"channels": [8, 8], "blocks": [1, 1], "latent_channels": 2, "dropout": 0.1}
    channels: tuple[int, ...] = Field(min_length=1)
    """Channels of the stages, finest first."""
    blocks: tuple[int, ...] = Field(min_length=1)
    """Residual blocks of each stage."""
    latent_channels: int = Field(ge=1)
    """Channels of the latent."""
    patch: int | tuple[int, ...] = 2
    """Edge of a patch in pixels, one number or one for each spatial axis."""
    factors: tuple[int | tuple[int, ...], ...] | None = None
    """Down-sampling between stages (one fewer than stages), a number or one for each axis; null: all 2."""
    causal: Annotated[bool, Later()] = False
    """Causal in time, the first axis: a latent frame depends on its own and earlier frames of the data alone,
    and the first one on the first frame alone; frames must be 1 + a multiple of the factor in time."""
    dropout: Annotated[float, Effect.OBJECTIVE] = Field(default=0.0, ge=0, lt=1)
    """Dropout rate inside the blocks while training."""
    remat: Annotated[bool | Literal["products"], Effect.PERFORMANCE] = False
    """Recompute a block's activations in the backward pass: less memory, a third more compute.
    `products`: keep products with weights and recompute the rest (norms, attention): between the two."""

    @model_validator(mode="after")
    def _stages_agree(self) -> ResNetConfig:
        if len(self.blocks) != len(self.channels):
            raise ValueError(f"blocks has {len(self.blocks)} entries, but channels has {len(self.channels)}")
        if self.factors is not None and len(self.factors) != len(self.channels) - 1:
            raise ValueError(
                f"factors has {len(self.factors)} entries, but {len(self.channels)} stages need one fewer"
            )
        return self

    def all_factors(self, axes: int) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
        """Patch and the factors between stages, one number for each spatial axis."""
        factors = self.factors or (2,) * (len(self.channels) - 1)
        patch = per_axis(self.patch, axes, "patch")
        return patch, tuple(per_axis(factor, axes, f"factors.{i}") for i, factor in enumerate(factors))

    def latent_shape(self, data_shape: Shape) -> Shape:
        """Shape of z_clean. Raises InterfaceError if patch and factors do not divide the data."""
        patch, factors = self.all_factors(len(data_shape) - 1)
        space = divided(data_shape[1:], patch, "patch", causal=self.causal)
        for i, factor in enumerate(factors):
            space = divided(space, factor, f"factors.{i}", causal=self.causal)
        return (self.latent_channels, *space)

    def build(self, io: EncoderIO, *, key: PRNGKeyArray) -> ResNet:
        return ResNet(self, io, key=key)
