"""DPM-Solver++(2M): the probability flow, second order from the last two predictions, one evaluation a step.

Source: Lu et al. 2022 (arXiv 2211.01095), algorithm 2.
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


def dpmpp_2m(
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
        clean: False ends at `log_snrs[-1]`, its last step of second order; True returns the last x̂, that of
            `log_snrs[-2]`: a step of first order to no noise at all (second order would extrapolate over an
            infinite step).
    """
    z = full_precision(z)

    def step(carry, level_pair):
        z, last_x_hat, last_size = carry
        log_snr, next_log_snr = level_pair
        size = next_log_snr - log_snr
        x_hat = denoise(z, log_snr).astype(z.dtype)
        weight = 0.5 * size / last_size
        extrapolated = x_hat + weight * (x_hat - last_x_hat)
        return (exponential_step(z, extrapolated, log_snr, next_log_snr).astype(z.dtype), x_hat, size), None

    # An infinite step before the first gives its prediction no weight: the first step is of first order.
    before = (z, jnp.zeros_like(z), jnp.full((), jnp.inf, log_snrs.dtype))
    (z, x_hat, _), _ = jax.lax.scan(step, before, (log_snrs[:-1], log_snrs[1:]))
    return x_hat if clean else z


class DPMpp2M(AbstractSampler):
    """`dpmpp_2m` over `steps` steps."""

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
        return dpmpp_2m(denoise, z, log_snrs, key=key, clean=clean)


class DPMpp2MConfig(Component):
    """DPM-Solver++(2M): second order from the last two predictions, one evaluation a step.
    Source: Lu et al. 2211.01095, algorithm 2."""

    type: Literal["ulzoo.dpmpp_2m.v1"] = "ulzoo.dpmpp_2m.v1"
    example: ClassVar = {"steps": 64}
    steps: int = Field(gt=0, le=100_000)
    """Steps, equal to evaluations of the network."""

    def build(self, io: SamplerIO, *, key: PRNGKeyArray | None = None) -> DPMpp2M:
        """The sampler; `io` and `key` are not needed."""
        return DPMpp2M(steps=self.steps)
