"""What samplers share: the grid of levels and the first-order step."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from ulzoo.diffusion.process import alpha_sigma, full_precision
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractSchedule, Scalar

Denoise = Callable[[Float[Array, "*shape"], Scalar], Float[Array, "*shape"]]
"""(z_t, log_snr) → x̂."""


def levels(schedule: AbstractSchedule, steps: int) -> Float[Array, "n"]:
    """`steps + 1` log-SNRs from the schedule's least to its greatest, at equally spaced times.

    Raises:
        InterfaceError: if `steps` is not positive.
    """
    if steps < 1:
        raise InterfaceError(f"sampler: steps must be at least 1, got {steps}")
    # Counted down in integers: the first time is 1 and the last is 0 to the bit, so both ends are exact.
    return schedule(jnp.arange(steps, -1, -1, dtype=jnp.float32) / steps)


def require_levels(log_snrs: Float[Array, "n"], steps: int) -> None:
    """Raises InterfaceError unless there is one level more than there are steps."""
    if log_snrs.shape != (steps + 1,):
        raise InterfaceError(f"sampler: {steps} steps need {steps + 1} levels, got shape {log_snrs.shape}")


def exponential_step(
    z: Float[Array, "*shape"], x_hat: Float[Array, "*shape"], log_snr: Scalar, next_log_snr: Scalar
) -> Float[Array, "*shape"]:
    """The probability flow from `log_snr` to `next_log_snr`, exact if x̂ does not change on the way.

        z_s = (σ_s/σ_t) z_t − α_s (e^(−h) − 1) x̂,   h = (λ_s − λ_t)/2

    Source: Lu et al. 2022 (arXiv 2211.01095), the solver of first order, which is DDIM without noise
    (Song et al. 2021, arXiv 2010.02502, eq. 12).
    """
    _, sigma = alpha_sigma(log_snr)
    next_alpha, next_sigma = alpha_sigma(next_log_snr)
    half_step = 0.5 * (full_precision(next_log_snr) - full_precision(log_snr))
    return (next_sigma / sigma) * z - next_alpha * jnp.expm1(-half_step) * x_hat
