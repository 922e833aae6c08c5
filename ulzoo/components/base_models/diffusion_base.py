"""The base model: a conditional denoiser on frozen latents, sigmoid-weighted (Heek et al. 2026, §3.3)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.components.layers.conditions import Conditioners, build_conditioners, cut, gathered, told
from ulzoo.components.layers.denoise import denoise
from ulzoo.components.layers.linear import looped
from ulzoo.diffusion.losses import denoising_loss
from ulzoo.diffusion.process import PredictionKind, add_noise
from ulzoo.diffusion.schedules import negative_slope
from ulzoo.errors import inside
from ulzoo.interfaces import (
    AbstractBase,
    AbstractDenoiser,
    AbstractSchedule,
    AbstractWeighting,
    BaseIO,
    Condition,
    ConditionerIO,
    LossTerms,
    NetworkIO,
    RawConditions,
    Scalar,
    ScheduleIO,
    WeightingIO,
)
from ulzoo.spec import Component, ComponentOf, Effect, default_component


class DiffusionBase(AbstractBase):
    network: AbstractDenoiser
    conditioners: Conditioners
    schedule: AbstractSchedule
    weighting: AbstractWeighting
    prediction: PredictionKind = eqx.field(static=True)

    def loss(
        self,
        z_clean: Float[Array, "c *space"],
        raw: RawConditions,
        t: Scalar,
        *,
        key: PRNGKeyArray,
        inference: bool = False,
    ) -> LossTerms:
        k_noise, k_condition, k_dropout = jax.random.split(key, 3)
        log_snr = self.schedule(t)
        # Noised once, from z_clean, never from z_0: the schedule ends at the encoder's own noise.
        z_t = add_noise(z_clean, jax.random.normal(k_noise, z_clean.shape), log_snr)
        condition = cut(self.condition(raw, None if inference else k_condition), z_clean)
        z_hat = denoise(
            self.network, self.prediction, z_t, log_snr, condition, key=None if inference else k_dropout
        )
        return denoising_loss(z_clean, z_hat, log_snr, negative_slope(self.schedule, t), self.weighting)

    def denoise(
        self, z_t: Float[Array, "c *space"], log_snr: Scalar, raw: RawConditions | None
    ) -> Float[Array, "c *space"]:
        # Samplers call this in a loop.
        network = looped(self.network)
        return denoise(network, self.prediction, z_t, log_snr, cut(self.condition(raw, None), z_t))

    def condition(self, raw: RawConditions | None, key: PRNGKeyArray | None) -> Condition:
        """The conditioners' vectors and grids, side by side; with a key, each is dropped on its own."""
        return gathered(self.conditioners, raw, key=key)


class DiffusionBaseConfig(Component):
    """Diffusion model on frozen latents. Source: Heek et al. 2026, §3.3."""

    type: Literal["ulzoo.diffusion_base.v1"] = "ulzoo.diffusion_base.v1"
    example: ClassVar = {
        "network": {"type": "ulzoo.vit.v1", "width": 8, "depth": 1, "heads": 1, "embedding_width": 8},
        "conditioners": [{"type": "ulzoo.class_label.v1", "width": 8}],
    }
    network: Annotated[Component, ComponentOf("network")]
    """The denoiser."""
    conditioners: tuple[Annotated[Component, ComponentOf("conditioner")], ...] = ()
    """What generation is conditioned on; none: unconditional."""
    schedule: Annotated[Component, ComponentOf("schedule"), Effect.OBJECTIVE] = default_component(
        "ulzoo.cosine.v1"
    )
    """Noise schedule from the latent's log-SNR down."""
    weighting: Annotated[Component, ComponentOf("weighting"), Effect.OBJECTIVE] = default_component(
        "ulzoo.sigmoid.v1", loss_factor=1.0, bias=-1.0
    )
    """Weight by noise level; the loss factor only scales it, the bias should lie below the decoder's."""
    prediction: Literal["v", "x", "eps"] = "v"
    """What the network's output means."""

    def build(self, io: BaseIO, *, key: PRNGKeyArray) -> DiffusionBase:
        k_network, k_conditioners = jax.random.split(key)
        known = ConditionerIO(io.num_classes, io.data_shape, io.latent_shape, io.causal)
        conditioners = build_conditioners(self.conditioners, known, key=k_conditioners)
        condition = told(conditioners, 0, io.latent_shape[1:])
        with inside("network"):
            network = self.network.build(NetworkIO(io.latent_shape, condition), key=k_network)
        with inside("schedule"):
            schedule = self.schedule.build(ScheduleIO(io.log_snr), key=None)
        with inside("weighting"):
            weighting = self.weighting.build(WeightingIO(), key=None)
        return DiffusionBase(
            network=network,
            conditioners=conditioners,
            schedule=schedule,
            weighting=weighting,
            prediction=self.prediction,
        )
