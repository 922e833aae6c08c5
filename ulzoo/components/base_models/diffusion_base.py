"""The base model: a conditional denoiser on frozen latents, sigmoid-weighted (Heek et al. 2026, §3.3)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.components.layers.denoise import denoise
from ulzoo.components.layers.linear import looped
from ulzoo.diffusion.losses import denoising_loss
from ulzoo.diffusion.process import PredictionKind, add_noise
from ulzoo.diffusion.schedules import negative_slope
from ulzoo.errors import inside
from ulzoo.interfaces import (
    AbstractBase,
    AbstractConditioner,
    AbstractDenoiser,
    AbstractGridConditioner,
    AbstractSchedule,
    AbstractWeighting,
    BaseIO,
    Condition,
    ConditionerIO,
    ConditionIO,
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
    conditioners: tuple[AbstractConditioner | AbstractGridConditioner, ...]
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
        condition = self.condition(raw, None if inference else k_condition)
        z_hat = denoise(
            self.network, self.prediction, z_t, log_snr, condition, key=None if inference else k_dropout
        )
        return denoising_loss(z_clean, z_hat, log_snr, negative_slope(self.schedule, t), self.weighting)

    def denoise(
        self, z_t: Float[Array, "c *space"], log_snr: Scalar, raw: RawConditions | None
    ) -> Float[Array, "c *space"]:
        # Samplers call this in a loop.
        network = looped(self.network)
        return denoise(network, self.prediction, z_t, log_snr, self.condition(raw, None))

    def condition(self, raw: RawConditions | None, key: PRNGKeyArray | None) -> Condition:
        """The conditioners' vectors and grids, side by side; with a key, each is dropped on its own."""
        count = len(self.conditioners)
        keys = [None] * count if key is None else jax.random.split(key, max(count, 1))[:count]
        vectors: list[Array] = []
        grids: list[Array] = []
        for conditioner, k in zip(self.conditioners, keys, strict=True):
            of_its_kind = grids if isinstance(conditioner, AbstractGridConditioner) else vectors
            of_its_kind.append(conditioner.null() if raw is None else conditioner(raw, key=k))
        return Condition(*(jnp.concatenate(parts) if parts else None for parts in (vectors, grids)))


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
        conditioners = []
        for i, config in enumerate(self.conditioners):
            with inside(f"conditioners.{i}"):
                k = jax.random.fold_in(k_conditioners, i)
                told = ConditionerIO(io.num_classes, io.data_shape, io.latent_shape)
                conditioners.append(config.build(told, key=k))
        grids = sum(c.width for c in conditioners if isinstance(c, AbstractGridConditioner))
        condition = ConditionIO(
            vector=sum(c.width for c in conditioners if not isinstance(c, AbstractGridConditioner)),
            spatial=(grids, *io.latent_shape[1:]) if grids else None,
        )
        with inside("network"):
            network = self.network.build(NetworkIO(io.latent_shape, condition), key=k_network)
        with inside("schedule"):
            schedule = self.schedule.build(ScheduleIO(io.log_snr), key=None)
        with inside("weighting"):
            weighting = self.weighting.build(WeightingIO(), key=None)
        return DiffusionBase(
            network=network,
            conditioners=tuple(conditioners),
            schedule=schedule,
            weighting=weighting,
            prediction=self.prediction,
        )
