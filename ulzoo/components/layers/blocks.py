"""The residual blocks: a transformer block on tokens, a convolutional block on grids."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.components.layers.attention import Attention
from ulzoo.components.layers.linear import Conv3, dropout, project, zeroed
from ulzoo.components.layers.modulation import Modulation
from ulzoo.components.layers.norms import group_norm, layer_norm
from ulzoo.components.layers.reach import Reach
from ulzoo.components.layers.space import channels_first, channels_last
from ulzoo.components.layers.stack import LONGEST_UNROLLED, Stack


def keys_or_none(key: PRNGKeyArray | None, n: int) -> Sequence[PRNGKeyArray | None]:
    return [None] * n if key is None else list(jax.random.split(key, n))


class TransformerBlock(eqx.Module):
    """Attention and MLP, each modulated and gated by the embedding (Peebles & Xie 2212.09748, adaLN-zero)."""

    attention: Attention
    up: eqx.nn.Linear
    down: eqx.nn.Linear
    modulation: Modulation
    drop: float = eqx.field(static=True)

    def __init__(
        self,
        width: int,
        heads: int,
        grid: Sequence[int],
        embedding: int,
        drop: float,
        reach: Reach | None = None,
        *,
        key: PRNGKeyArray,
    ) -> None:
        k_attention, k_up, k_down, k_modulation = jax.random.split(key, 4)
        self.attention = Attention(width, heads, grid, reach, key=k_attention)
        self.up = eqx.nn.Linear(width, 4 * width, key=k_up)
        self.down = eqx.nn.Linear(4 * width, width, key=k_down)
        self.modulation = Modulation(embedding, width, 6, key=k_modulation)
        self.drop = drop

    def __call__(
        self,
        tokens: Float[Array, "n d"],
        embedding: Float[Array, "e"],
        key: PRNGKeyArray | None,
        turn: int = 0,
    ) -> Float[Array, "n d"]:
        scale_1, shift_1, gate_1, scale_2, shift_2, gate_2 = self.modulation(embedding)
        k_attention, k_mlp = keys_or_none(key, 2)
        mixed = self.attention(layer_norm(tokens) * (1 + scale_1) + shift_1, turn)
        tokens = tokens + gate_1 * dropout(mixed, self.drop, k_attention)
        hidden = layer_norm(tokens) * (1 + scale_2) + shift_2
        hidden = jax.nn.gelu(project(self.up, hidden))
        hidden = project(self.down, dropout(hidden, self.drop, k_mlp))
        return tokens + gate_2 * hidden


class ConvBlock(eqx.Module):
    """Norm, SiLU, convolution, twice; modulated if there is an embedding; the last one starts at zero."""

    norm_1: eqx.nn.GroupNorm
    norm_2: eqx.nn.GroupNorm
    conv_1: Conv3
    conv_2: Conv3
    modulation: Modulation | None
    drop: float = eqx.field(static=True)
    causal: bool = eqx.field(static=True)

    def __init__(
        self,
        axes: int,
        channels: int,
        embedding: int,
        drop: float,
        *,
        scanned: bool,
        causal: bool = False,
        key: PRNGKeyArray,
    ) -> None:
        k_1, k_2, k_modulation = jax.random.split(key, 3)
        groups = next(g for g in (32, 16, 8, 4, 2, 1) if (channels % g == 0 and channels // g >= 4) or g == 1)
        self.norm_1 = eqx.nn.GroupNorm(groups, channels)
        self.norm_2 = eqx.nn.GroupNorm(groups, channels)
        draw = functools.partial(Conv3.draw, axes, channels, channels, scanned=scanned, causal=causal)
        self.conv_1, self.conv_2 = draw(key=k_1), zeroed(draw(key=k_2))
        self.modulation = Modulation(embedding, channels, 2, key=k_modulation) if embedding else None
        self.drop, self.causal = drop, causal

    def __call__(
        self, x: Float[Array, "c *space"], embedding: Float[Array, "e"] | None, key: PRNGKeyArray | None
    ) -> Float[Array, "c *space"]:
        last = channels_last(x)
        hidden = self.conv_1.last(jax.nn.silu(group_norm(self.norm_1, last, causal=self.causal)))
        hidden = group_norm(self.norm_2, hidden, causal=self.causal)
        if self.modulation is not None and embedding is not None:
            scale, shift = self.modulation(embedding)
            hidden = hidden * (1 + scale) + shift
        hidden = dropout(jax.nn.silu(hidden), self.drop, key)
        return channels_first(last + self.conv_2.last(hidden))


def conv_stack(
    axes: int,
    channels: int,
    depth: int,
    embedding: int,
    drop: float,
    *,
    remat: bool | str,
    causal: bool = False,
    key: PRNGKeyArray,
) -> Stack:
    """A stack of convolutional blocks. `causal`: none sees later positions of the first axis."""
    scanned = depth > LONGEST_UNROLLED

    def make(k: PRNGKeyArray) -> ConvBlock:
        return ConvBlock(axes, channels, embedding, drop, scanned=scanned, causal=causal, key=k)

    return Stack(make, depth, remat=remat, key=key)


def transformer_stack(
    width: int,
    heads: int,
    grid: Sequence[int],
    embedding: int,
    drop: float,
    depth: int,
    reach: Reach,
    *,
    remat: bool | str,
    key: PRNGKeyArray,
) -> Stack:
    """A stack of transformer blocks; `reach` says what each attends to."""

    def make(k: PRNGKeyArray) -> TransformerBlock:
        return TransformerBlock(width, heads, grid, embedding, drop, reach, key=k)

    return Stack(make, depth, turns=reach.turns, remat=remat, key=key)
