"""Heun's method on the probability flow: second order, two evaluations a step.

With y = z/α and κ = σ/α the flow is dy/dκ = ε̂, and Heun's step is the trapezoidal rule on it: the noise
predicted at both ends of the step is averaged. Written out in x̂, with h = (λ_s − λ_t)/2:

    guess  z_s' = (σ_s/σ_t) z_t − α_s (e^(−h) − 1) x̂(z_t, λ_t)
    step   z_s = z_s' + ½ α_s (e^h − 1) (x̂(z_s', λ_s) − x̂(z_t, λ_t))

The same numbers, but averaging ε̂ itself subtracts terms that are e^h larger than the result, which in
float32 ruins long steps.

Source: Karras et al. 2022 (arXiv 2206.00364), algorithm 1.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from ulzoo.diffusion.process import alpha_sigma, full_precision
from ulzoo.diffusion.sampling import Denoise, exponential_step, require_levels
from ulzoo.interfaces import AbstractSampler, SamplerIO
from ulzoo.spec import Component


def heun(
    denoise: Denoise,
    z: Float[Array, "*shape"],
    log_snrs: Float[Array, "n"],
    *,
    key: PRNGKeyArray,
    clean: bool,
) -> Float[Array, "*shape"]:
    """From `z` at `log_snrs[0]` along `log_snrs`, rising; `key` is not used: nothing is random.

    Args:
        denoise: (z_t, log_snr) → x̂; evaluated at both ends of every step.
        clean: False ends at `log_snrs[-1]`; True returns the last x̂, that of the last step's far end,
            `log_snrs[-1]`, so that no evaluation is wasted.
    """
    z = full_precision(z)

    def step(carry, level_pair):
        z, _ = carry
        log_snr, next_log_snr = level_pair
        x_hat = denoise(z, log_snr).astype(z.dtype)
        guess = exponential_step(z, x_hat, log_snr, next_log_snr).astype(z.dtype)
        next_x_hat = denoise(guess, next_log_snr).astype(z.dtype)
        next_alpha, _ = alpha_sigma(next_log_snr)
        gain = 0.5 * next_alpha * jnp.expm1(0.5 * (next_log_snr - log_snr))
        return ((guess + gain * (next_x_hat - x_hat)).astype(z.dtype), next_x_hat), None

    (z, x_hat), _ = jax.lax.scan(step, (z, jnp.zeros_like(z)), (log_snrs[:-1], log_snrs[1:]))
    return x_hat if clean else z


class Heun(AbstractSampler):
    """`heun` over `steps` steps."""

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
        return heun(denoise, z, log_snrs, key=key, clean=clean)


class HeunConfig(Component):
    """Heun's method on the probability flow: second order, two evaluations a step.
    Source: Karras et al. 2206.00364, algorithm 1."""

    type: Literal["ulzoo.heun.v1"] = "ulzoo.heun.v1"
    example: ClassVar = {"steps": 64}
    steps: int = Field(gt=0, le=100_000)
    """Steps; the network is evaluated twice in each."""

    def build(self, io: SamplerIO, *, key: PRNGKeyArray | None = None) -> Heun:
        """The sampler; `io` and `key` are not needed."""
        return Heun(steps=self.steps)
