"""The sigmoid weight w(λ) = c sigmoid(b − λ) on the ε error (Heek et al. 2026, figure 3)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ulzoo.diffusion.process import full_precision


def sigmoid_weight(
    loss_factor: Float[Array, ""], bias: Float[Array, ""], log_snr: Float[Array, ""]
) -> Float[Array, ""]:
    """w(λ), in float32 or wider."""
    log_snr = full_precision(log_snr)
    # exp(log_sigmoid) keeps its relative precision where the weight is tiny.
    gate = jnp.exp(jax.nn.log_sigmoid(bias.astype(log_snr.dtype) - log_snr))
    return loss_factor.astype(log_snr.dtype) * gate
