"""Single-level vision transformer: the paper's prior network (Heek et al. 2026, §4: 8 blocks × 1024).

Patches become tokens; every block is modulated by the log-SNR and the vector condition; a spatial
condition is added to the tokens; the output projection starts at zero.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field, model_validator

from ulzoo.components.layers.blocks import transformer_stack
from ulzoo.components.layers.linear import Pointwise, zeroed
from ulzoo.components.layers.modulation import Embedding, Modulation
from ulzoo.components.layers.norms import layer_norm
from ulzoo.components.layers.reach import AttentionKind, Reach, check_window
from ulzoo.components.layers.space import depth_to_space, divided, per_axis, space_to_depth
from ulzoo.components.layers.spatial import SpatialEntry
from ulzoo.components.layers.stack import Stack
from ulzoo.components.layers.tokens import placed, to_grid, to_tokens
from ulzoo.interfaces import AbstractDenoiser, Condition, NetworkIO, Scalar
from ulzoo.spec import Component, Effect
from ulzoo.spec.effect import Later


class ViT(AbstractDenoiser):
    patch_in: Pointwise
    position: Float[Array, "n d"]
    spatial: SpatialEntry
    embedding: Embedding
    blocks: Stack
    modulation: Modulation
    patch_out: Pointwise
    patch: tuple[int, ...] = eqx.field(static=True)
    grid: tuple[int, ...] = eqx.field(static=True)
    causal: bool = eqx.field(static=True)

    def __init__(self, config: ViTConfig, io: NetworkIO, *, key: PRNGKeyArray) -> None:
        channels, space = io.shape[0], io.shape[1:]
        self.patch = per_axis(config.patch, len(space), "patch")
        self.causal = config.causal
        self.grid = divided(space, self.patch, "patch", causal=self.causal)
        k_in, k_position, k_spatial, k_embedding, k_blocks, k_modulation, k_out = jax.random.split(key, 7)
        patch_channels = channels * math.prod(self.patch)
        width, embedding = config.width, config.embedding_width
        self.patch_in = Pointwise(patch_channels, width, key=k_in)
        self.position = 0.02 * jax.random.normal(k_position, (math.prod(self.grid), width))
        self.spatial = SpatialEntry(io.condition, self.grid, width, causal=self.causal, key=k_spatial)
        self.embedding = Embedding(embedding, io.condition.vector, key=k_embedding)
        self.blocks = transformer_stack(
            width,
            config.heads,
            self.grid,
            embedding,
            config.dropout,
            config.depth,
            Reach.of(config.attention, config.window, self.grid, causal=self.causal),
            remat=config.remat,
            key=k_blocks,
        )
        self.modulation = Modulation(embedding, width, 2, key=k_modulation)
        self.patch_out = zeroed(Pointwise(width, patch_channels, key=k_out))

    def __call__(
        self,
        z_t: Float[Array, "c *space"],
        log_snr: Scalar,
        condition: Condition,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "c *space"]:
        embedding = self.embedding(log_snr, condition)
        x = self.spatial(self.patch_in(space_to_depth(z_t, self.patch, causal=self.causal)), condition)
        tokens = self.blocks(placed(to_tokens(x), self.position), embedding, key=key)
        scale, shift = self.modulation(embedding)
        tokens = layer_norm(tokens) * (1 + scale) + shift
        return depth_to_space(self.patch_out(to_grid(tokens, self.grid)), self.patch, causal=self.causal)


class ViTConfig(Component):
    """Single-level vision transformer. Source: Heek et al. 2026, §4; adaLN-zero blocks as in 2212.09748."""

    type: Literal["ulzoo.vit.v1"] = "ulzoo.vit.v1"
    example: ClassVar = {"width": 8, "depth": 1, "heads": 1, "embedding_width": 8, "dropout": 0.1}
    width: int = Field(ge=8)
    """Channels of the tokens."""
    depth: int = Field(ge=1)
    """Number of transformer blocks."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; must divide `width` into even parts."""
    patch: int | tuple[int, ...] = 1
    """Edge of a patch in pixels (or latent positions), one number or one for each spatial axis."""
    attention: Annotated[AttentionKind, Later()] = "full"
    """What tokens attend to: all others; `factorised`, over all axes but the first and along the first (space
    and time) in turn, a block each; or `windowed`."""
    window: Annotated[int | tuple[int, ...] | None, Later()] = None
    """Edge of an attention window in tokens, one number or one for each spatial axis; every second block's
    are moved by half of it, those at the edges are smaller. Exactly for windowed attention."""
    causal: Annotated[bool, Later()] = False
    """Causal in time, the first axis: what is put out for a frame depends on it and earlier ones alone. The
    first frame is a patch by itself, so that frames must be 1 + a multiple of patch and factors in time."""
    embedding_width: int = Field(default=256, ge=8)
    """Width of the embedding of log-SNR and vector condition."""
    dropout: Annotated[float, Effect.OBJECTIVE] = Field(default=0.0, ge=0, lt=1)
    """Dropout rate inside the blocks while training."""
    remat: Annotated[bool | Literal["products"], Effect.PERFORMANCE] = False
    """Recompute a block's activations in the backward pass: less memory, a third more compute.
    `products`: keep products with weights and recompute the rest (norms, attention): between the two."""

    @model_validator(mode="after")
    def _window_where_it_belongs(self) -> ViTConfig:
        check_window(self.attention, self.window)
        return self

    def build(self, io: NetworkIO, *, key: PRNGKeyArray) -> ViT:
        """Raises InterfaceError if patch or heads do not divide what they must, or a window is too large."""
        return ViT(self, io, key=key)
