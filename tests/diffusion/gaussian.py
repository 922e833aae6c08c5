"""Gaussian data, where everything about diffusion is known in closed form: the oracle of these tests.

Textbook formulas in plain arithmetic, independent of the package; a power of e serves NumPy and JAX arrays.
"""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.e ** (-x))


def optimal_denoiser(z_t, log_snr, s, mean=0.0):
    """E[x | z_t] for x ~ N(mean, s²)."""
    alpha, variance = sigmoid(log_snr) ** 0.5, sigmoid(-log_snr)
    gain = alpha * s**2 / (alpha**2 * s**2 + variance)
    return mean + gain * (z_t - alpha * mean)


def mutual_information(s, low, high):
    """Nats per dimension that the levels from `low` to `high` reveal of N(0, s²)."""
    return 0.5 * (np.log1p(s**2 * np.exp(high)) - np.log1p(s**2 * np.exp(low)))


def posterior_variance(log_snr, s):
    """Var[x | z_t], also the least expected squared error."""
    return s**2 * sigmoid(-log_snr) / (sigmoid(log_snr) * s**2 + sigmoid(-log_snr))


def flow(z, start, end, s, mean=0.0):
    """The probability flow's exact map from log-SNR `start` to `end`."""

    def marginal(log_snr):
        return sigmoid(log_snr) ** 0.5 * mean, np.sqrt(sigmoid(log_snr) * s**2 + sigmoid(-log_snr))

    (m0, d0), (m1, d1) = marginal(start), marginal(end)
    return m1 + d1 * (z - m0) / d0
