"""Denoising losses of one example in nats: summed over dimensions, weighted by w(λ), in float32.

One integrand in three coordinates, with x − x̂ = e^(−λ/2) (ε̂ − ε) = σ (v̂ − v):

    ½ (−dλ/dt) w(λ) e^λ ‖x − x̂‖²  =  ½ (−dλ/dt) w(λ) ‖ε − ε̂‖²  =  ½ (−dλ/dt) w(λ) sigmoid(λ) ‖v − v̂‖²

w is the weight on the ε error, as in Kingma & Gao 2023 (arXiv 2303.00848). A weight printed for the
x error already holds e^λ; multiplying by e^λ once more is the classic mistake.

Training uses the x form whatever the network predicts: in float32 its rounding is below 1e-5 of the
loss for λ ≤ 15, and the residual is scaled by e^(λ/2) before it is squared, so nothing overflows.

Source: Heek et al. 2026, eq. 4, with the minus on dλ/dt that makes the loss positive.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ulzoo.diffusion.process import full_precision
from ulzoo.interfaces import LossTerms, Scalar

Weighting = Callable[[Scalar], Scalar]


def denoising_loss(
    x: Float[Array, "*shape"],
    x_hat: Float[Array, "*shape"],
    log_snr: Scalar,
    slope: Scalar,
    weighting: Weighting,
) -> LossTerms:
    """The loss of one example at one time, from clean x and its prediction.

    Args:
        x: the clean target.
        x_hat: what the network expects behind z_t (`process.to_x` of its output).
        log_snr: λ of z_t.
        slope: −dλ/dt there, positive (`schedules.negative_slope`), when t was drawn uniformly.
        weighting: w(λ) on the ε error.
    """
    log_snr = full_precision(log_snr)
    error = full_precision(x) - full_precision(x_hat)
    loss = 0.5 * slope * weighting(log_snr) * jnp.sum(jnp.square(jnp.exp(0.5 * log_snr) * error))
    return LossTerms(loss=loss, squared_error=jnp.sum(jnp.square(error)), log_snr=log_snr)


def eps_loss(
    eps: Float[Array, "*shape"],
    eps_hat: Float[Array, "*shape"],
    log_snr: Scalar,
    slope: Scalar,
    weighting: Weighting,
) -> Scalar:
    """The same nats as `denoising_loss`, from the noise and its prediction."""
    error = full_precision(eps) - full_precision(eps_hat)
    return 0.5 * slope * weighting(full_precision(log_snr)) * jnp.sum(jnp.square(error))


def v_loss(
    v: Float[Array, "*shape"],
    v_hat: Float[Array, "*shape"],
    log_snr: Scalar,
    slope: Scalar,
    weighting: Weighting,
) -> Scalar:
    """The same nats as `denoising_loss`, from v and its prediction."""
    log_snr = full_precision(log_snr)
    error = full_precision(v) - full_precision(v_hat)
    scale = weighting(log_snr) * jax.nn.sigmoid(log_snr)
    return 0.5 * slope * scale * jnp.sum(jnp.square(error))
