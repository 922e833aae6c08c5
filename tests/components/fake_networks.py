"""Networks whose every answer is known, in place of trained ones."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ulzoo.interfaces import AbstractDenoiser, AbstractEncoder


class OptimalForGaussian(AbstractDenoiser):
    """x̂ = E[x | z_t] for x ~ N(0, s²): α s² z_t / (α² s² + σ²)."""

    s: Any

    def __call__(self, z_t, log_snr, condition, *, key=None):
        return self.gain(log_snr) * z_t

    def gain(self, log_snr):
        signal = jax.nn.sigmoid(log_snr)
        return jnp.sqrt(signal) * self.s**2 / (signal * self.s**2 + jax.nn.sigmoid(-log_snr))


class Constant(AbstractDenoiser):
    """Says the same number whatever it sees."""

    value: Any

    def __call__(self, z_t, log_snr, condition, *, key=None):
        return jnp.full_like(z_t, self.value)


class Spatial(AbstractDenoiser):
    """Says its spatial condition."""

    def __call__(self, z_t, log_snr, condition, *, key=None):
        return condition.spatial


class Recorder(AbstractDenoiser):
    """Remembers what it was given (call it outside of jit) and says zero."""

    seen: list = eqx.field(static=True)

    def __call__(self, z_t, log_snr, condition, *, key=None):
        self.seen.append((z_t, log_snr, condition, key))
        return jnp.zeros_like(z_t)


class LinearEncoder(AbstractEncoder):
    """a·x, and, if given, one log-variance everywhere."""

    a: Any
    log_variance: Any = None

    def __call__(self, x, *, key=None):
        mean = self.a * x
        if self.log_variance is None:
            return mean
        return jnp.concatenate([mean, jnp.full_like(mean, self.log_variance)])
