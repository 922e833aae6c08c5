"""Ancestral sampling with an interpolated variance: the reverse chain, one evaluation a step.

From λ_t to λ_s, s less noisy, with r = e^(λ_t − λ_s):

    mean          r (α_s/α_t) z_t + (1 − r) α_s x̂
    log variance  (1 − γ) log((1 − r) σ_s²) + γ log((1 − r) σ_t²)

γ = 0 is exact when x is known, γ = 1 when x ~ N(0, I) (Ho et al. 2020, arXiv 2006.11239, §3.2).

Source: Ho et al. 2022 (arXiv 2204.03458), §2; Hoogeboom et al. 2024 (arXiv 2410.19324).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from ulzoo.diffusion.process import alpha_sigma, full_precision
from ulzoo.diffusion.sampling import Denoise, require_levels
from ulzoo.interfaces import AbstractSampler, SamplerIO
from ulzoo.spec import Component


def ancestral(
    denoise: Denoise,
    z: Float[Array, "*shape"],
    log_snrs: Float[Array, "n"],
    *,
    key: PRNGKeyArray,
    clean: bool,
    interpolation: float,
) -> Float[Array, "*shape"]:
    """From `z` at `log_snrs[0]` along `log_snrs`, rising, with fresh noise in every step.

    Args:
        denoise: (z_t, log_snr) → x̂; evaluated once a step, at `log_snrs[:-1]`.
        key: of the noise.
        clean: False ends at `log_snrs[-1]`, its noise included; True returns the last x̂, that of
            `log_snrs[-2]`, without noise.
        interpolation: γ in [0, 1].
    """
    z = full_precision(z)

    def step(carry, inputs):
        z, _ = carry
        log_snr, next_log_snr, key = inputs
        x_hat = denoise(z, log_snr).astype(z.dtype)
        alpha, sigma = alpha_sigma(log_snr)
        next_alpha, next_sigma = alpha_sigma(next_log_snr)
        ratio = jnp.exp(log_snr - next_log_snr)
        remainder = -jnp.expm1(log_snr - next_log_snr)
        mean = ratio * (next_alpha / alpha) * z + remainder * next_alpha * x_hat
        scale = jnp.sqrt(remainder) * next_sigma ** (1.0 - interpolation) * sigma**interpolation
        noise = jax.random.normal(key, z.shape, z.dtype)
        return ((mean + scale * noise).astype(z.dtype), x_hat), None

    keys = jax.random.split(key, log_snrs.shape[0] - 1)
    (z, x_hat), _ = jax.lax.scan(step, (z, jnp.zeros_like(z)), (log_snrs[:-1], log_snrs[1:], keys))
    return x_hat if clean else z


class Ancestral(AbstractSampler):
    """`ancestral` over `steps` steps."""

    steps: int = eqx.field(static=True)
    interpolation: float = eqx.field(static=True)

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
        return ancestral(denoise, z, log_snrs, key=key, clean=clean, interpolation=self.interpolation)


class AncestralConfig(Component):
    """Ancestral sampling with an interpolated variance: the reverse chain, one evaluation a step.
    Source: Ho et al. 2204.03458, §2; Hoogeboom et al. 2410.19324."""

    type: Literal["ulzoo.ancestral.v1"] = "ulzoo.ancestral.v1"
    example: ClassVar = {"steps": 64}
    steps: int = Field(gt=0, le=100_000)
    """Steps, equal to evaluations of the network."""
    interpolation: float = Field(default=0.3, ge=0.0, le=1.0)
    """γ, dimensionless: log-variance of a step between its lower bound (0) and its upper bound (1). 0.3 is
    usual with up to a few hundred steps; with many steps the bounds meet and the choice stops to matter."""

    def build(self, io: SamplerIO, *, key: PRNGKeyArray | None = None) -> Ancestral:
        """The sampler; `io` and `key` are not needed."""
        return Ancestral(steps=self.steps, interpolation=self.interpolation)
