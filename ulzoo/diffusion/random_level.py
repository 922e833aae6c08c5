"""A latent whose noise level is drawn anew for each example (Heek et al. 2026, Appendix B).

Its log-SNR ℓ follows a logistic distribution that is cut off above at the least noise, λ_z(0). The prior is
charged for what it sees down to ℓ and no further; averaged over ℓ, its loss at a level λ counts with the
probability that ℓ is above λ, which is a sigmoid in λ but for the cut.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

_LEAST = 1e-6
"""Of the uniform numbers: log-SNRs reach down to 14 scales below the location, and not to −∞."""


class RandomLevel(NamedTuple):
    """log-SNR of z_0: logistic, at most `greatest`.

    Attributes:
        location, scale: of the logistic distribution before it is cut, log-SNRs.
        greatest: λ_z(0).
    """

    location: float
    scale: float
    greatest: float

    def draw(self, key: PRNGKeyArray) -> Float[Array, ""]:
        """One ℓ, by the inverse of its distribution function."""
        uniform = jax.random.uniform(key, minval=_LEAST)
        share = uniform * self._below
        return self.location + self.scale * (jnp.log(share) - jnp.log1p(-share))

    def above(self, log_snr: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """Probability that ℓ is above a log-SNR."""
        share = jax.nn.sigmoid((log_snr - self.location) / self.scale) / self._below
        return jnp.clip(1.0 - share, 0.0, 1.0)

    @property
    def _below(self) -> Float[Array, ""]:
        return jax.nn.sigmoid(jnp.asarray((self.greatest - self.location) / self.scale, jnp.float32))
