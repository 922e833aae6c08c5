"""The Haar encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.interfaces import AbstractEncoder, EncoderIO

if TYPE_CHECKING:
    from ulzoo_example.haar.config import HaarConfig


class Haar(AbstractEncoder):
    out: eqx.nn.Conv
    levels: int = eqx.field(static=True)

    @classmethod
    def draw(cls, config: HaarConfig, io: EncoderIO, *, key: PRNGKeyArray) -> Haar:
        channels, *space = io.data_shape
        coefficients = channels * 2 ** (len(space) * config.levels)
        # moments 2: a mean and a log-variance, for latent.noise: learned.
        out = eqx.nn.Conv(len(space), coefficients, io.moments * config.latent_channels, 1, key=key)
        return cls(out, config.levels)

    def __call__(
        self, x: Float[Array, "c *space"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "m *latent"]:
        for _ in range(self.levels):
            x = halve(x)
        return self.out(x)


def halve(x: Float[Array, "c *space"]) -> Float[Array, "c2 *half"]:
    """One level: means and differences of neighbours along every axis in turn, stacked as channels.

    Orthonormal: the sum of squares stays. All bands are split again, so that every position keeps everything.
    """
    for axis in range(1, x.ndim):
        even, odd = (jnp.take(x, jnp.arange(start, x.shape[axis], 2), axis) for start in (0, 1))
        # Python's float keeps the dtype that x has.
        x = jnp.concatenate([even + odd, even - odd]) * 0.5**0.5
    return x
