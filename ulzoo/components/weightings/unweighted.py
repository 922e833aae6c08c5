"""No weight: the loss is a bound on the likelihood. The rate of a latent prior is always so.

Source: Heek et al. 2026, §3.1.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ulzoo.interfaces import AbstractWeighting, Scalar, WeightingIO
from ulzoo.spec import Component


class Unweighted(AbstractWeighting):
    """w(λ) = 1."""

    def __call__(self, log_snr: Scalar) -> Scalar:
        return jnp.ones_like(log_snr)


class UnweightedConfig(Component):
    """No weight: the loss is a bound on the likelihood. Source: Heek et al. 2026, §3.1."""

    type: Literal["ulzoo.unweighted.v1"] = "ulzoo.unweighted.v1"

    def build(self, io: WeightingIO, *, key: PRNGKeyArray | None = None) -> Unweighted:
        """The weighting; `io` and `key` are not needed."""
        return Unweighted()
