"""The diffusion prior: a denoiser whose unweighted loss is the rate (Heek et al. 2026, §3.1, eq. 3)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from ulzoo.components.layers.denoise import denoise
from ulzoo.diffusion.process import PredictionKind, add_noise
from ulzoo.diffusion.rate import diffusion_rate, normal_kl
from ulzoo.diffusion.schedules import negative_slope
from ulzoo.errors import inside
from ulzoo.interfaces import (
    AbstractDenoiser,
    AbstractPrior,
    AbstractSchedule,
    Condition,
    NetworkIO,
    PriorIO,
    RateTerms,
    Scalar,
    ScheduleIO,
)
from ulzoo.spec import Component, ComponentOf, Effect, default_component


class DiffusionPrior(AbstractPrior):
    network: AbstractDenoiser
    schedule: AbstractSchedule
    prediction: PredictionKind = eqx.field(static=True)
    stop_gradient: bool = eqx.field(static=True)
    normal_kl: float = eqx.field(static=True)
    is_bound: bool = eqx.field(static=True)

    def rate(
        self, z_clean: Float[Array, "c *space"], t: Scalar, *, key: PRNGKeyArray, inference: bool = False
    ) -> RateTerms:
        k_noise, k_dropout = jax.random.split(key)
        z = jax.lax.stop_gradient(z_clean) if self.stop_gradient else z_clean
        log_snr = self.schedule(t)
        z_t = add_noise(z, jax.random.normal(k_noise, z.shape), log_snr)
        z_hat = self.denoise(z_t, log_snr, key=None if inference else k_dropout)
        # eq. 3, first term: ½ (−dλ/dt) e^λ ‖z − ẑ‖²; the minus makes the loss positive
        diffusion = diffusion_rate(z, z_hat, log_snr, negative_slope(self.schedule, t)).sum(0)
        # eq. 3, second term: KL[ N(α₁ z, σ₁²) ‖ N(0, 1) ]
        terminal = normal_kl(z, jnp.asarray(self.schedule.log_snr_min)).sum(0)
        # Not of the detached z: where the rate is hidden from the encoder, this is all that restrains it.
        penalty = self.normal_kl * normal_kl(z_clean, jnp.asarray(self.schedule.log_snr_max)).sum()
        return RateTerms(diffusion, terminal, jnp.zeros_like(terminal), penalty, log_snr)

    def denoise(
        self, z_t: Float[Array, "c *space"], log_snr: Scalar, *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "c *space"]:
        """ẑ: the clean latent expected behind z_t."""
        return denoise(self.network, self.prediction, z_t, log_snr, Condition(), key=key)


class DiffusionPriorConfig(Component):
    """Diffusion prior on the latent; its unweighted loss bounds its bits. Source: Heek et al. 2026, §3.1."""

    type: Literal["ulzoo.diffusion_prior.v1"] = "ulzoo.diffusion_prior.v1"
    example: ClassVar = {
        "network": {"type": "ulzoo.vit.v1", "width": 8, "depth": 1, "heads": 1, "embedding_width": 8},
    }
    network: Annotated[Component, ComponentOf("network")]
    """The denoiser."""
    schedule: Annotated[Component, ComponentOf("schedule"), Effect.OBJECTIVE] = default_component(
        "ulzoo.linear.v1"
    )
    """Noise schedule from the latent's log-SNR down; its shape changes variance, not the expected rate."""
    prediction: Literal["v", "x", "eps"] = "v"
    """What the network's output means."""
    stop_gradient: Annotated[bool, Effect.OBJECTIVE] = False
    """Hide the encoder from the rate (ablation A): the rate becomes a measurement, reported as a proxy."""
    normal_kl: Annotated[float, Effect.OBJECTIVE] = Field(default=0.0, ge=0)
    """Weight of KL(z_0 ‖ N(0, I)) in the training loss, beside the rate and not part of it; ablation A's
    discounted KL, for use with `stop_gradient`. Above 0 the rate is reported as a proxy."""

    def build(self, io: PriorIO, *, key: PRNGKeyArray) -> DiffusionPrior:
        with inside("network"):
            network = self.network.build(NetworkIO(io.latent_shape), key=key)
        with inside("schedule"):
            schedule = self.schedule.build(ScheduleIO(io.log_snr), key=None)
        return DiffusionPrior(
            network=network,
            schedule=schedule,
            prediction=self.prediction,
            stop_gradient=self.stop_gradient,
            normal_kl=self.normal_kl,
            is_bound=not self.stop_gradient and self.normal_kl == 0.0,
        )
