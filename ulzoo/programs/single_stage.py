"""Stage 1's prior as a sampler, in the place of a base model (Heek et al. 2026, Appendix B)."""

from __future__ import annotations

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractPrior, AbstractSchedule, RawConditions, Scalar


class SampledPrior(eqx.Module):
    """What sampling asks of a base model, answered by a prior; it has no conditions."""

    prior: Any
    schedule: AbstractSchedule

    def denoise(
        self, z_t: Float[Array, "c *space"], log_snr: Scalar, raw: RawConditions | None
    ) -> Float[Array, "c *space"]:
        return self.prior.denoise(z_t, log_snr)


def check_sampled(prior: AbstractPrior) -> None:
    """Raises InterfaceError for a prior that no sampler can walk down: one without schedule and `denoise`."""
    if not (hasattr(prior, "denoise") and hasattr(prior, "schedule")):
        raise InterfaceError(f"{type(prior).__name__} has no denoiser, so nothing can be sampled from it")


def sampled_prior(prior: Any) -> SampledPrior:
    """Raises InterfaceError as `check_sampled`."""
    check_sampled(prior)
    return SampledPrior(prior, prior.schedule)
