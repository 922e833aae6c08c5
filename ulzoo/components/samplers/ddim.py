"""DDIM without noise: the probability flow, first order, one evaluation a step.

Source: Song et al. 2021 (arXiv 2010.02502), eq. 12 with σ = 0.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from ulzoo.diffusion.process import full_precision
from ulzoo.diffusion.sampling import Denoise, exponential_step, require_levels
from ulzoo.interfaces import AbstractSampler, SamplerIO
from ulzoo.spec import Component


def ddim(
    denoise: Denoise,
    z: Float[Array, "*shape"],
    log_snrs: Float[Array, "n"],
    *,
    key: PRNGKeyArray,
    clean: bool,
) -> Float[Array, "*shape"]:
    """From `z` at `log_snrs[0]` along `log_snrs`, rising; `key` is not used: nothing is random.

    Args:
        denoise: (z_t, log_snr) → x̂; evaluated once a step, at `log_snrs[:-1]`.
        clean: False ends at `log_snrs[-1]`; True returns the last x̂, that of `log_snrs[-2]`, which is the
            same step taken to no noise at all.
    """
    z = full_precision(z)

    def step(carry, level_pair):
        z, _ = carry
        log_snr, next_log_snr = level_pair
        x_hat = denoise(z, log_snr).astype(z.dtype)
        return (exponential_step(z, x_hat, log_snr, next_log_snr).astype(z.dtype), x_hat), None

    (z, x_hat), _ = jax.lax.scan(step, (z, jnp.zeros_like(z)), (log_snrs[:-1], log_snrs[1:]))
    return x_hat if clean else z


class DDIM(AbstractSampler):
    """`ddim` over `steps` steps."""

    steps: int = eqx.field(static=True)

    def __call__(
        self,
        denoise: Denoise,
        z: Float[Array, "*shape"],
        log_snrs: Float[Array, "n"],
        *,
        key: PRNGKeyArray,
        clean: bool,
    ) -> Float[Array, "*shape"]:
        require_levels(log_snrs, self.steps)
        return ddim(denoise, z, log_snrs, key=key, clean=clean)


class DDIMConfig(Component):
    """DDIM without noise: the probability flow, first order, one evaluation a step.
    Source: Song et al. 2010.02502, eq. 12 with σ = 0."""

    type: Literal["ulzoo.ddim.v1"] = "ulzoo.ddim.v1"
    example: ClassVar = {"steps": 64}
    steps: int = Field(gt=0, le=100_000)
    """Steps, equal to evaluations of the network."""

    def build(self, io: SamplerIO, *, key: PRNGKeyArray | None = None) -> DDIM:
        """The sampler; `io` and `key` are not needed."""
        return DDIM(steps=self.steps)
