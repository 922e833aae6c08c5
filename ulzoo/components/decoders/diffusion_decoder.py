"""The diffusion decoder: denoises data, told the noisy latent (Heek et al. 2026, §3.2, eq. 4)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.components.layers.conditions import Conditioners, beside, build_conditioners, gathered, told
from ulzoo.components.layers.denoise import denoise
from ulzoo.components.layers.linear import looped
from ulzoo.components.layers.space import decoded_shape
from ulzoo.diffusion.losses import denoising_loss
from ulzoo.diffusion.process import PredictionKind, add_noise
from ulzoo.diffusion.sampling import levels
from ulzoo.diffusion.schedules import negative_slope
from ulzoo.errors import inside
from ulzoo.interfaces import (
    AbstractConditionedDecoder,
    AbstractDenoiser,
    AbstractSampler,
    AbstractSchedule,
    AbstractWeighting,
    Condition,
    ConditionerIO,
    DecoderIO,
    LossTerms,
    NetworkIO,
    RawConditions,
    Scalar,
    ScheduleIO,
    Shape,
    WeightingIO,
)
from ulzoo.spec import Component, ComponentOf, Effect, default_component
from ulzoo.spec.effect import Later


class DiffusionDecoder(AbstractConditionedDecoder):
    """Decodes clips that are shorter than `data_shape`, too, if they are the first of its latent frames."""

    network: AbstractDenoiser
    schedule: AbstractSchedule
    weighting: AbstractWeighting
    prediction: PredictionKind = eqx.field(static=True)
    data_shape: Shape = eqx.field(static=True)
    conditioners: Conditioners = ()
    latent_frames: int = eqx.field(static=True, default=0)
    causal: bool = eqx.field(static=True, default=False)

    def distortion(
        self,
        x: Float[Array, "c *space"],
        z_0: Float[Array, "k *latent"],
        t: Scalar,
        *,
        key: PRNGKeyArray,
        inference: bool = False,
        raw: RawConditions | None = None,
    ) -> LossTerms:
        k_noise, k_dropout = jax.random.split(key)
        log_snr = self.schedule(t)
        x_t = add_noise(x, jax.random.normal(k_noise, x.shape), log_snr)
        condition = self.condition(z_0, raw, key=None if inference else jax.random.fold_in(key, 2))
        x_hat = self.denoise(x_t, log_snr, condition, key=None if inference else k_dropout)
        # eq. 4, with the sign of the sigmoid as in the paper's Figure 3
        return denoising_loss(x, x_hat, log_snr, negative_slope(self.schedule, t), self.weighting)

    def denoise(
        self,
        x_t: Float[Array, "c *space"],
        log_snr: Scalar,
        condition: Condition,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "c *space"]:
        """x̂: the data expected behind x_t and what `condition` says."""
        return denoise(self.network, self.prediction, x_t, log_snr, condition, key=key)

    def condition(
        self, z_0: Float[Array, "k *latent"], raw: RawConditions | None, *, key: PRNGKeyArray | None = None
    ) -> Condition:
        """The latent, and what the conditioners say beside it."""
        return beside(gathered(self.conditioners, raw, key=key), z_0)

    def decode(
        self,
        z_0: Float[Array, "k *latent"],
        sampler: AbstractSampler,
        *,
        key: PRNGKeyArray,
        raw: RawConditions | None = None,
    ) -> Float[Array, "c *space"]:
        k_start, k_sampler = jax.random.split(key)
        shape = decoded_shape(z_0.shape, self.data_shape, self.latent_frames, causal=self.causal)
        start = jax.random.normal(k_start, shape)
        log_snrs = levels(self.schedule, sampler.steps)
        ready = eqx.tree_at(lambda decoder: decoder.network, self, looped(self.network))
        condition = self.condition(z_0, raw)
        return sampler(
            lambda x, lam: ready.denoise(x, lam, condition), start, log_snrs, key=k_sampler, clean=True
        )


class DiffusionDecoderConfig(Component):
    """Diffusion decoder, conditioned on the noisy latent. Source: Heek et al. 2026, §3.2."""

    type: Literal["ulzoo.diffusion_decoder.v1"] = "ulzoo.diffusion_decoder.v1"
    example: ClassVar = {
        "network": {
            "type": "ulzoo.vit.v1",
            "width": 8,
            "depth": 1,
            "heads": 1,
            "patch": 2,
            "embedding_width": 8,
        },
        "weighting": {"type": "ulzoo.sigmoid.v1", "loss_factor": 3.0, "bias": 3.0},
    }
    network: Annotated[Component, ComponentOf("network")]
    """The denoiser; the latent is its spatial condition."""
    weighting: Annotated[Component, ComponentOf("weighting"), Effect.OBJECTIVE]
    """Weight of the distortion by noise level: loss factor and bias decide what goes through the latent."""
    schedule: Annotated[Component, ComponentOf("schedule"), Effect.OBJECTIVE] = default_component(
        "ulzoo.cosine.v1"
    )
    """Noise schedule of the data, its own (not the latent's)."""
    prediction: Literal["v", "x", "eps"] = "v"
    """What the network's output means."""
    conditioners: Annotated[tuple[Annotated[Component, ComponentOf("conditioner")], ...], Later()] = ()
    """What decoding is told beside the latent, such as the class or given frames; none: nothing."""

    def build(self, io: DecoderIO, *, key: PRNGKeyArray) -> DiffusionDecoder:
        level = io.log_snr if io.random_level else None
        known = ConditionerIO(io.num_classes, io.data_shape, io.latent_shape, io.causal, level)
        conditioners = build_conditioners(self.conditioners, known, key=jax.random.fold_in(key, 1))
        condition = told(conditioners, io.latent_shape[0], io.latent_shape[1:])
        with inside("network"):
            network = self.network.build(NetworkIO(io.data_shape, condition), key=key)
        with inside("schedule"):
            schedule = self.schedule.build(ScheduleIO(), key=None)
        with inside("weighting"):
            weighting = self.weighting.build(WeightingIO(io.data_shape[1:]), key=None)
        return DiffusionDecoder(
            network=network,
            schedule=schedule,
            weighting=weighting,
            prediction=self.prediction,
            data_shape=io.data_shape,
            conditioners=conditioners,
            latent_frames=io.latent_shape[1],
            causal=io.causal,
        )
