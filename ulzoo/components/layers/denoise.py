"""From a network's output to the clean signal it predicts; the one place where dtypes meet."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.diffusion.process import PredictionKind, to_x
from ulzoo.interfaces import AbstractDenoiser, Condition, Scalar
from ulzoo.parallel.precision import cast, compute_dtype


def denoise(
    network: AbstractDenoiser,
    prediction: PredictionKind,
    z_t: Float[Array, "c *space"],
    log_snr: Scalar,
    condition: Condition,
    *,
    key: PRNGKeyArray | None = None,
) -> Float[Array, "c *space"]:
    """x̂ in float32; the network itself runs in the dtype of its parameters."""
    dtype = compute_dtype(network)
    output = network(z_t.astype(dtype), log_snr, cast(condition, dtype), key=key)
    return to_x(prediction, output.astype(jnp.float32), z_t.astype(jnp.float32), log_snr)
