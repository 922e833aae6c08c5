"""Multi-level vision transformer: the paper's base network (Heek et al. 2026, §4: 6 × 512 and 16 × 1024).

Departs: the paper does not say where the outer level's blocks stand; here half of them (rounded up) come
before the coarser level and the rest after it, with SiD2's residual skip between.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field, model_validator

from ulzoo.components.layers.blocks import keys_or_none, transformer_stack
from ulzoo.components.layers.levels import Rescale
from ulzoo.components.layers.linear import Pointwise, zeroed
from ulzoo.components.layers.modulation import Embedding, Modulation
from ulzoo.components.layers.norms import layer_norm
from ulzoo.components.layers.reach import AttentionKind, Reach, check_window
from ulzoo.components.layers.space import depth_to_space, divided, per_axis, space_to_depth
from ulzoo.components.layers.spatial import SpatialEntry
from ulzoo.components.layers.stack import Stack
from ulzoo.components.layers.tokens import placed, to_grid, to_tokens
from ulzoo.errors import inside
from ulzoo.interfaces import AbstractDenoiser, Condition, NetworkIO, Scalar
from ulzoo.spec import Component, Effect, SpecModel
from ulzoo.spec.effect import Later


class Level(eqx.Module):
    """Blocks of one resolution, before and after what lies below."""

    position: Float[Array, "n d"]
    before: Stack
    after: Stack
    grid: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        level: LevelConfig,
        grid: tuple[int, ...],
        embedding: int,
        *,
        last: bool,
        causal: bool,
        remat: bool | str,
        key: PRNGKeyArray,
    ) -> None:
        reach = Reach.of(level.attention, level.window, grid, causal=causal)

        def blocks(depth: int, k: PRNGKeyArray) -> Stack:
            width, heads, drop = level.width, level.heads, level.dropout
            return transformer_stack(width, heads, grid, embedding, drop, depth, reach, remat=remat, key=k)

        k_position, k_before, k_after = jax.random.split(key, 3)
        before = level.depth if last else (level.depth + 1) // 2
        self.position = 0.02 * jax.random.normal(k_position, (math.prod(grid), level.width))
        self.before, self.after = blocks(before, k_before), blocks(level.depth - before, k_after)
        self.grid = grid

    def enter(self, x: Array, embedding: Array, key: PRNGKeyArray | None) -> Array:
        return to_grid(self.before(placed(to_tokens(x), self.position), embedding, key=key), self.grid)

    def leave(self, x: Array, embedding: Array, key: PRNGKeyArray | None) -> Array:
        return to_grid(self.after(to_tokens(x), embedding, key=key), self.grid)


class ViT2(AbstractDenoiser):
    patch_in: Pointwise
    embedding: Embedding
    entries: tuple[SpatialEntry, ...]
    levels: tuple[Level, ...]
    rescales: tuple[Rescale, ...]
    modulation: Modulation
    patch_out: Pointwise
    patch: tuple[int, ...] = eqx.field(static=True)
    causal: bool = eqx.field(static=True)

    def __init__(self, config: ViT2Config, io: NetworkIO, *, key: PRNGKeyArray) -> None:
        axes, count = len(io.shape) - 1, len(config.levels)
        keys = iter(jax.random.split(key, 4 + 3 * count))
        self.patch = per_axis(config.patch, axes, "patch")
        self.causal = causal = config.causal
        grid = divided(io.shape[1:], self.patch, "patch", causal=causal)
        patch_channels = io.shape[0] * math.prod(self.patch)
        embedding = config.embedding_width
        self.patch_in = Pointwise(patch_channels, config.levels[0].width, key=next(keys))
        self.embedding = Embedding(embedding, io.condition.vector, key=next(keys))
        entries, levels, rescales = [], [], []
        for i, level in enumerate(config.levels):
            if i:
                factors = per_axis(2 if level.factor is None else level.factor, axes, f"levels.{i}.factor")
                grid = divided(grid, factors, f"levels.{i}.factor", causal=causal)
                widths = config.levels[i - 1].width, level.width
                rescales.append(Rescale(*widths, factors, causal=causal, key=next(keys)))
            entries.append(SpatialEntry(io.condition, grid, level.width, causal=causal, key=next(keys)))
            last, remat = i == count - 1, config.remat
            with inside(f"levels.{i}"):
                made = Level(level, grid, embedding, last=last, causal=causal, remat=remat, key=next(keys))
            levels.append(made)
        self.entries, self.levels, self.rescales = tuple(entries), tuple(levels), tuple(rescales)
        self.modulation = Modulation(embedding, config.levels[0].width, 2, key=next(keys))
        self.patch_out = zeroed(Pointwise(config.levels[0].width, patch_channels, key=next(keys)))

    def __call__(
        self,
        z_t: Float[Array, "c *space"],
        log_snr: Scalar,
        condition: Condition,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "c *space"]:
        embedding = self.embedding(log_snr, condition)
        count = len(self.levels)
        keys = keys_or_none(key, 2 * count)
        h = self.patch_in(space_to_depth(z_t, self.patch, causal=self.causal))
        skips = []
        for i, level in enumerate(self.levels):
            h = level.enter(self.entries[i](h, condition), embedding, keys[i])
            if i < count - 1:
                h_a = self.rescales[i].down(h)
                skips.append((h, h_a))
                h = h_a
        for i in reversed(range(count - 1)):
            h_b, h_a = skips[i]
            h = self.levels[i].leave(self.rescales[i].up(h, h_a, h_b), embedding, keys[count + i])
        scale, shift = self.modulation(embedding)
        tokens = layer_norm(to_tokens(h)) * (1 + scale) + shift
        h = self.patch_out(to_grid(tokens, self.levels[0].grid))
        return depth_to_space(h, self.patch, causal=self.causal)


class LevelConfig(SpecModel):
    """One resolution of the multi-level transformer."""

    width: int = Field(ge=8)
    """Channels of the tokens at this level."""
    depth: int = Field(ge=1)
    """Transformer blocks at this level; outer levels put half before and half after the coarser ones."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; must divide `width` into even parts."""
    factor: int | tuple[int, ...] | None = None
    """Down-sampling from the level above, one number or one for each spatial axis; 2 if null.
    The first level has none."""
    dropout: Annotated[float, Effect.OBJECTIVE] = Field(default=0.0, ge=0, lt=1)
    """Dropout rate inside this level's blocks while training."""
    attention: Annotated[AttentionKind, Later()] = "full"
    """What tokens attend to: all others; `factorised`, over all axes but the first and along the first (space
    and time) in turn, a block each; or `windowed`."""
    window: Annotated[int | tuple[int, ...] | None, Later()] = None
    """Edge of an attention window in tokens, one number or one for each spatial axis; every second block's
    are moved by half of it, those at the edges are smaller. Exactly for windowed attention."""

    @model_validator(mode="after")
    def _window_where_it_belongs(self) -> LevelConfig:
        check_window(self.attention, self.window)
        return self


class ViT2Config(Component):
    """Multi-level vision transformer. Source: Heek et al. 2026, §4 (base model); skips of 2410.19324."""

    type: Literal["ulzoo.vit2.v1"] = "ulzoo.vit2.v1"
    example: ClassVar = {
        "levels": [
            {"width": 8, "depth": 2, "heads": 1},
            {"width": 8, "depth": 1, "heads": 1, "dropout": 0.1},
        ],
        "embedding_width": 8,
    }
    levels: tuple[LevelConfig, ...] = Field(min_length=1)
    """Resolutions, finest first; the paper has two."""
    patch: int | tuple[int, ...] = 1
    """Edge of a patch at the finest level, one number or one for each spatial axis."""
    causal: Annotated[bool, Later()] = False
    """Causal in time, the first axis: what is put out for a frame depends on it and earlier ones alone. The
    first frame is a patch by itself, so that frames must be 1 + a multiple of patch and factors in time."""
    embedding_width: int = Field(default=256, ge=8)
    """Width of the embedding of log-SNR and vector condition."""
    remat: Annotated[bool | Literal["products"], Effect.PERFORMANCE] = False
    """Recompute a block's activations in the backward pass: less memory, a third more compute.
    `products`: keep products with weights and recompute the rest (norms, attention): between the two."""

    @model_validator(mode="after")
    def _first_has_no_factor(self) -> ViT2Config:
        if self.levels[0].factor is not None:
            got = self.levels[0].factor
            raise ValueError(f"the first level has none above it to be down-sampled from, got factor {got}")
        return self

    def build(self, io: NetworkIO, *, key: PRNGKeyArray) -> ViT2:
        """Raises InterfaceError if patch, factors or heads do not fit, or a window is too large."""
        return ViT2(self, io, key=key)
