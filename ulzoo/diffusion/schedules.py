"""What all noise schedules share: slope, exact ends, and where the least noise comes from."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractSchedule, ScheduleIO

PIXEL_LOG_SNR_MAX = 10.0
"""Least noise of pixels when a spec says nothing: σ = 0.0067, below half a level of 8 bits."""


def negative_slope(schedule: AbstractSchedule, t: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """−dλ/dt at times `t`, elementwise; positive, since log-SNR falls."""
    _, slope = jax.jvp(schedule, (t,), (jnp.ones_like(t),))
    return -slope


def pin_ends(
    log_snr: Float[Array, "*n"], t: Float[Array, "*n"], log_snr_max: float, log_snr_min: float
) -> Float[Array, "*n"]:
    """`log_snr` with rounding removed at t = 0 and t = 1, and its slope left as it is.

    The end points are compared with the latent's log-SNR elsewhere, so they must be equal to the bit.
    """
    correction = jnp.where(t == 0, log_snr_max - log_snr, jnp.where(t == 1, log_snr_min - log_snr, 0.0))
    return log_snr + jax.lax.stop_gradient(correction)


def end_points(log_snr_max: float | None, log_snr_min: float, io: ScheduleIO) -> tuple[float, float]:
    """(log_snr_max, log_snr_min) of a schedule, from its configuration and from what is imposed on it.

    Raises:
        InterfaceError: if the configuration contradicts the imposed level, or the ends are not in order.
    """
    if io.log_snr_max is not None and log_snr_max is not None and log_snr_max != io.log_snr_max:
        raise InterfaceError(
            f"log_snr_max is {log_snr_max:g}, but the latent's log-SNR is {io.log_snr_max:g}\n"
            "    encoder, prior, decoder and base model share one number: leave log_snr_max out, "
            "or change latent.log_snr"
        )
    imposed = io.log_snr_max if io.log_snr_max is not None else log_snr_max
    highest = PIXEL_LOG_SNR_MAX if imposed is None else float(imposed)
    if not log_snr_min < highest:
        raise InterfaceError(f"log_snr_min must be below log_snr_max, got {log_snr_min:g} and {highest:g}")
    return highest, float(log_snr_min)


def cosine_log_snr(t: Float[Array, "*n"], log_snr_max: float, log_snr_min: float) -> Float[Array, "*n"]:
    """λ = −2 log tan θ with θ linear in t, between the two ends.

    Source: Nichol & Dhariwal 2021 (arXiv 2102.09672), eq. 17; cut at its ends as in Kingma & Gao 2023
    (arXiv 2303.00848).
    """
    first, last = _angle(log_snr_max), _angle(log_snr_min)
    # tan is ill-conditioned near π/2; sin of the angle from either end keeps full precision at both.
    span = last - first
    from_clean = first + span * t
    from_noise = _angle(-log_snr_min) + span * (1.0 - t)
    return 2.0 * (jnp.log(jnp.sin(from_noise)) - jnp.log(jnp.sin(from_clean)))


def cosine_time(log_snr: Float[Array, "*n"], log_snr_max: float, log_snr_min: float) -> Float[Array, "*n"]:
    """The time at which `cosine_log_snr` with the same ends has this value."""
    first, last = _angle(log_snr_max), _angle(log_snr_min)
    return (jnp.arctan(jnp.exp(-0.5 * log_snr)) - first) / (last - first)


def _angle(log_snr: float) -> float:
    return math.atan(math.exp(-0.5 * log_snr))
