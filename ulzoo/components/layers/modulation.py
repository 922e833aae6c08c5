"""What every block is told: an embedding of the log-SNR and of the vector condition."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.components.layers.linear import project, zeroed
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import Condition, Scalar

FREQUENCIES = 32
# log-SNRs live in about [−20, 20]: the slowest wave sees all of it, the fastest resolves a quarter of a nat.
_SLOWEST, _FASTEST = np.pi / 40, 4 * np.pi


def waves(log_snr: Scalar) -> Float[Array, "d"]:
    """Sines and cosines of a log-SNR, 2 · `FREQUENCIES` of them, float32."""
    frequencies = jnp.asarray(np.geomspace(_SLOWEST, _FASTEST, FREQUENCIES), jnp.float32)
    angles = jnp.asarray(log_snr, jnp.float32) * frequencies
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)])


class Embedding(eqx.Module):
    """log-SNR and vector condition → one vector of `width` that modulates every block."""

    first: eqx.nn.Linear
    second: eqx.nn.Linear
    vector: eqx.nn.Linear | None

    def __init__(self, width: int, vector: int, *, key: PRNGKeyArray) -> None:
        k_first, k_second, k_vector = jax.random.split(key, 3)
        self.first = eqx.nn.Linear(2 * FREQUENCIES, width, key=k_first)
        self.second = eqx.nn.Linear(width, width, key=k_second)
        self.vector = eqx.nn.Linear(vector, width, key=k_vector) if vector else None

    def __call__(self, log_snr: Scalar, condition: Condition) -> Float[Array, "d"]:
        if (self.vector is None) != (condition.vector is None):
            raise InterfaceError("the network is given a vector condition exactly if it is built for one")
        dtype = self.first.weight.dtype
        hidden = jax.nn.silu(project(self.first, waves(log_snr).astype(dtype)))
        if self.vector is not None and condition.vector is not None:
            hidden = hidden + project(self.vector, condition.vector.astype(dtype))
        return jax.nn.silu(project(self.second, hidden))


class Modulation(eqx.Module):
    """Embedding → `parts` vectors over channels, zero at the start (adaLN-zero)."""

    linear: eqx.nn.Linear
    parts: int = eqx.field(static=True)

    def __init__(self, embedding: int, channels: int, parts: int, *, key: PRNGKeyArray) -> None:
        self.linear = zeroed(eqx.nn.Linear(embedding, parts * channels, key=key))
        self.parts = parts

    def __call__(self, embedding: Float[Array, "d"]) -> list[Float[Array, "c"]]:
        return jnp.split(project(self.linear, embedding), self.parts)
