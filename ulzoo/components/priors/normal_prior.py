"""A standard normal prior: closed-form KL, discounted on request (a VAE's; Heek et al. 2026, Table 5)."""

from __future__ import annotations

from typing import ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from ulzoo.diffusion.rate import normal_kl
from ulzoo.interfaces import AbstractPrior, PriorIO, RateTerms, Scalar
from ulzoo.spec import Component, Effect


class NormalPrior(AbstractPrior):
    log_snr: float = eqx.field(static=True)
    discount: float = eqx.field(static=True)
    is_bound: bool = eqx.field(static=True)

    def rate(
        self, z_clean: Float[Array, "c *space"], t: Scalar, *, key: PRNGKeyArray, inference: bool = False
    ) -> RateTerms:
        log_snr = jnp.asarray(self.log_snr, jnp.float32)
        kl = normal_kl(z_clean, log_snr).sum(0)
        zeros = jnp.zeros_like(kl)
        # The rate stays the whole KL; only the training loss is discounted.
        penalty = (self.discount - 1.0) * kl.sum()
        return RateTerms(zeros, kl, zeros, penalty, log_snr)


class NormalPriorConfig(Component):
    """N(0, I) on the noisy latent z_0. Source: Kingma & Welling 1312.6114; Heek et al. 2026, Table 5."""

    type: Literal["ulzoo.normal_prior.v1"] = "ulzoo.normal_prior.v1"
    effect: ClassVar[Effect] = Effect.OBJECTIVE
    discount: float = Field(default=1.0, ge=0)
    """Weight of the KL in the training loss; anything but 1 makes the objective a proxy (β-VAE)."""

    def build(self, io: PriorIO, *, key: PRNGKeyArray | None = None) -> NormalPrior:
        return NormalPrior(log_snr=io.log_snr, discount=self.discount, is_bound=self.discount == 1.0)
