"""The variance-preserving process and the three things a network may predict.

    α² = sigmoid(λ),  σ² = sigmoid(−λ),  z_t = α x + σ ε,  v = α ε − σ x        λ: log-SNR

Everything here is computed in float32 or wider, whatever the dtype of the network's output, and is
finite for |λ| ≤ 20. `log_snr` is a scalar, or an array of the rank of the data that broadcasts against it.

Source: Heek et al. 2026; v: Salimans & Ho 2022 (arXiv 2202.00512), §4.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

PredictionKind = Literal["v", "x", "eps"]
"""What a network's output means: v = α ε − σ x, the clean x, or the noise ε."""


def full_precision(array: Array) -> Array:
    """`array` in float32, or unchanged if it is wider."""
    array = jnp.asarray(array)
    wide = jnp.issubdtype(array.dtype, jnp.floating) and jnp.finfo(array.dtype).bits >= 32
    return array if wide else array.astype(jnp.float32)


def alpha_sigma(log_snr: Float[Array, "*n"]) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """Signal scale α and noise scale σ, not their squares.

    Both keep full relative precision far from λ = 0, where 1 − α² would not.
    """
    log_snr = full_precision(log_snr)
    return jnp.exp(0.5 * jax.nn.log_sigmoid(log_snr)), jnp.exp(0.5 * jax.nn.log_sigmoid(-log_snr))


def add_noise(
    x: Float[Array, "*shape"], eps: Float[Array, "*shape"], log_snr: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """z_t = α x + σ ε, with ε ~ N(0, I)."""
    alpha, sigma = alpha_sigma(log_snr)
    return alpha * full_precision(x) + sigma * full_precision(eps)


def target(
    kind: PredictionKind, x: Float[Array, "*shape"], eps: Float[Array, "*shape"], log_snr: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """What a network of this kind should output; no division, so exact at every level."""
    alpha, sigma = alpha_sigma(log_snr)
    x, eps = full_precision(x), full_precision(eps)
    match kind:
        case "x":
            return x
        case "eps":
            return eps
        case "v":
            return alpha * eps - sigma * x


def to_x(
    kind: PredictionKind,
    output: Float[Array, "*shape"],
    z_t: Float[Array, "*shape"],
    log_snr: Float[Array, ""],
) -> Float[Array, "*shape"]:
    """The clean x̂ that a network's output stands for.

    `eps` divides by α: an error of the output grows as e^(−λ/2) at high noise, which the losses undo.
    """
    alpha, sigma = alpha_sigma(log_snr)
    output, z_t = full_precision(output), full_precision(z_t)
    match kind:
        case "x":
            return output
        case "eps":
            return (z_t - sigma * output) / alpha
        case "v":
            return alpha * z_t - sigma * output


def from_x(
    kind: PredictionKind, x: Float[Array, "*shape"], z_t: Float[Array, "*shape"], log_snr: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """The output that stands for a clean x̂: the inverse of `to_x` at the same z_t and level.

    `eps` and `v` divide by σ: rounding of x grows as e^(λ/2) at low noise. Where ε is known use `target`.
    """
    alpha, sigma = alpha_sigma(log_snr)
    x, z_t = full_precision(x), full_precision(z_t)
    match kind:
        case "x":
            return x
        case "eps":
            return (z_t - alpha * x) / sigma
        case "v":
            # α (z_t − α x)/σ − σ x with α² + σ² = 1.
            return (alpha * z_t - x) / sigma


def to_eps(
    kind: PredictionKind,
    output: Float[Array, "*shape"],
    z_t: Float[Array, "*shape"],
    log_snr: Float[Array, ""],
) -> Float[Array, "*shape"]:
    """The noise ε̂ that a network's output stands for."""
    alpha, sigma = alpha_sigma(log_snr)
    output, z_t = full_precision(output), full_precision(z_t)
    match kind:
        case "x":
            return (z_t - alpha * output) / sigma
        case "eps":
            return output
        case "v":
            return sigma * z_t + alpha * output


def to_v(
    kind: PredictionKind,
    output: Float[Array, "*shape"],
    z_t: Float[Array, "*shape"],
    log_snr: Float[Array, ""],
) -> Float[Array, "*shape"]:
    """The velocity v̂ that a network's output stands for."""
    alpha, sigma = alpha_sigma(log_snr)
    output, z_t = full_precision(output), full_precision(z_t)
    match kind:
        case "x":
            return (alpha * z_t - output) / sigma
        case "eps":
            return (output - sigma * z_t) / alpha
        case "v":
            return output
