"""The mixer: MLPs over tokens and over channels in turn (Tolstikhin et al. 2021, §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractDenoiser, Condition, NetworkIO, Scalar

if TYPE_CHECKING:
    from ulzoo_example.mixer.config import MixerConfig


class Block(eqx.Module):
    """Mixes tokens, then channels; shift and scale say what noise level and condition it works at."""

    norm: eqx.nn.LayerNorm
    modulation: eqx.nn.Linear
    tokens: eqx.nn.MLP
    channels: eqx.nn.MLP
    dropout: eqx.nn.Dropout

    def __init__(self, config: MixerConfig, tokens: int, *, key: PRNGKeyArray) -> None:
        k_tokens, k_channels, k_modulation = jax.random.split(key, 3)
        width = config.width
        self.norm = eqx.nn.LayerNorm(width, use_weight=False, use_bias=False)
        self.modulation = eqx.nn.Linear(width, 2 * width, key=k_modulation)
        self.tokens = eqx.nn.MLP(tokens, tokens, width, 1, jax.nn.gelu, key=k_tokens)
        self.channels = eqx.nn.MLP(width, width, 2 * width, 1, jax.nn.gelu, key=k_channels)
        self.dropout = eqx.nn.Dropout(config.dropout)

    def __call__(
        self, h: Float[Array, "n d"], told: Float[Array, "d"], *, key: PRNGKeyArray | None
    ) -> Float[Array, "n d"]:
        scale, shift = jnp.split(self.modulation(told), 2)
        modulated = jax.vmap(self.norm)(h) * (1 + scale) + shift
        h = h + jax.vmap(self.tokens, in_axes=1, out_axes=1)(modulated)
        mixed = jax.vmap(self.channels)(jax.vmap(self.norm)(h))
        return h + self.dropout(mixed, key=key, inference=key is None)


class Mixer(AbstractDenoiser):
    patch_in: eqx.nn.Conv
    spatial: eqx.nn.Conv | None
    level: eqx.nn.Linear
    vector: eqx.nn.Linear | None
    blocks: tuple[Block, ...]
    patch_out: eqx.nn.ConvTranspose

    @classmethod
    def draw(cls, config: MixerConfig, io: NetworkIO, *, key: PRNGKeyArray) -> Mixer:
        (channels, *space), width, patch = io.shape, config.width, config.patch
        if any(extent % patch for extent in space):
            raise InterfaceError(f"{patch} does not divide the input, {tuple(space)}", "patch")
        axes, vector, spatial = len(space), io.condition.vector, io.condition.spatial
        tokens = 1
        for extent in space:
            tokens *= extent // patch
        k_in, k_out, k_level, k_vector, k_spatial, k_blocks = jax.random.split(key, 6)
        return cls(
            patch_in=eqx.nn.Conv(axes, channels, width, patch, stride=patch, key=k_in),
            spatial=None if spatial is None else eqx.nn.Conv(axes, spatial[0], width, 1, key=k_spatial),
            level=eqx.nn.Linear(1, width, key=k_level),
            vector=eqx.nn.Linear(vector, width, key=k_vector) if vector else None,
            blocks=tuple(Block(config, tokens, key=k) for k in jax.random.split(k_blocks, config.depth)),
            patch_out=eqx.nn.ConvTranspose(axes, width, channels, patch, stride=patch, key=k_out),
        )

    def __call__(
        self,
        z_t: Float[Array, "c *space"],
        log_snr: Scalar,
        condition: Condition,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "c *space"]:
        h = self.patch_in(z_t)
        if self.spatial is not None:
            # The condition's grid is its own: a latent is coarser than the image that it tells of.
            h = h + jax.image.resize(self.spatial(condition.spatial), h.shape, "nearest")
        # log-SNR lies within about ±20.
        told = self.level((0.1 * log_snr)[None].astype(z_t.dtype))
        if self.vector is not None:
            told = told + self.vector(condition.vector)
        grid, tokens = h.shape, h.reshape(h.shape[0], -1).T
        keys = [None] * len(self.blocks) if key is None else jax.random.split(key, len(self.blocks))
        for block, k in zip(self.blocks, keys, strict=True):
            tokens = block(tokens, jax.nn.silu(told), key=k)
        return self.patch_out(tokens.T.reshape(grid))
