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
_LOWEST = -20.0
"""Log-SNR below which a latent says nothing any more, and networks cannot tell one from another."""


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
        """One ℓ, by the inverse of its distribution function; −20 for those that would lie below."""
        log_share = jnp.log(jax.random.uniform(key, minval=_LEAST)) + self._log_below(self.greatest)
        level = self.location + self.scale * (log_share - jnp.log1p(-jnp.exp(log_share)))
        return jnp.clip(level, _LOWEST, self.greatest)

    def above(self, log_snr: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """Probability that ℓ is above a log-SNR."""
        share = jnp.exp(self._log_below(log_snr) - self._log_below(self.greatest))
        return jnp.clip(1.0 - share, 0.0, 1.0)

    def _log_below(self, log_snr: Float[Array, "*n"] | float) -> Float[Array, "*n"]:
        """Logarithm of the uncut distribution function: far below the location the function itself is 0."""
        return jax.nn.log_sigmoid(jnp.asarray((log_snr - self.location) / self.scale, jnp.float32))
