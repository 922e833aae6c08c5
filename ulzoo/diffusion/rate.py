"""The parts of a latent's rate, in nats per element: summing them is the caller's (per position or in all).

    L_z = E_t[ ½ (−dλ/dt) e^λ ‖z_clean − ẑ‖² ] + KL[ N(α_1 z_clean, σ_1²) ‖ N(0, 1) ]

Source: Heek et al. 2026, eq. 3; the terminal term is the prior loss of Kingma et al. 2021 (arXiv 2107.00630).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ulzoo.diffusion.process import full_precision
from ulzoo.interfaces import Scalar


def diffusion_rate(
    z_clean: Float[Array, "*shape"], z_hat: Float[Array, "*shape"], log_snr: Scalar, slope: Scalar
) -> Float[Array, "*shape"]:
    """½ (−dλ/dt) e^λ (z − ẑ)²: unbiased over t ~ U(0, 1), and unweighted, so that the rate is a bound.

    Args:
        z_clean: the encoder's output; gradients flow through it.
        z_hat: the clean latent expected behind z_t.
        log_snr: λ of z_t.
        slope: −dλ/dt there, positive.
    """
    error = full_precision(z_clean) - full_precision(z_hat)
    return 0.5 * slope * jnp.square(jnp.exp(0.5 * full_precision(log_snr)) * error)


def normal_kl(z_clean: Float[Array, "*shape"], log_snr: Float[Array, ""]) -> Float[Array, "*shape"]:
    """KL[ N(α z, σ²) ‖ N(0, 1) ] = ½ (α² z² + σ² − 1 − log σ²) at one level.

    At `log_snr_min` of the prior's schedule it is the rate's terminal term; at the latent's own
    log-SNR it is the whole rate under a normal prior.
    """
    log_snr = full_precision(log_snr)
    alpha_squared = jax.nn.sigmoid(log_snr)
    # σ² − 1 = −α² and −log σ² = softplus(λ): both small at high noise, so 1 is never subtracted from 1.
    return 0.5 * (alpha_squared * (jnp.square(full_precision(z_clean)) - 1.0) + jax.nn.softplus(log_snr))


def learned_noise_term(
    log_variance: Float[Array, "*shape"], log_snr: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """−½ log(1 + σ_z² e^λ): what an encoder that adds noise of its own saves of the rate.

    Args:
        log_variance: log σ_z² of the encoder's noise on z_clean.
        log_snr: the latent's log-SNR λ_z(0).

    Source: Heek et al. 2026, ablation D.
    """
    return -0.5 * jax.nn.softplus(full_precision(log_variance) + full_precision(log_snr))
