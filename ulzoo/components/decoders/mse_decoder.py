"""A decoder that predicts the data in one step under a squared error (Heek et al. 2026, Table 5)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from ulzoo.components.layers.conditions import Conditioners, beside, build_conditioners, gathered, told
from ulzoo.components.layers.denoise import denoise
from ulzoo.components.layers.space import decoded_shape
from ulzoo.errors import inside
from ulzoo.interfaces import (
    AbstractConditionedDecoder,
    AbstractDenoiser,
    AbstractSampler,
    AbstractWeighting,
    ConditionerIO,
    DecoderIO,
    LossTerms,
    NetworkIO,
    RawConditions,
    Scalar,
    Shape,
)
from ulzoo.spec import Component, ComponentOf, Effect
from ulzoo.spec.effect import Later

_NO_INPUT_LOG_SNR = (
    -20.0
)  # where any denoiser is blind: the network sees zeros and is told that they are noise


class ConstantWeighting(AbstractWeighting):
    """1/variance, whatever the noise level. A traced value, like every other weighting."""

    loss_factor: Scalar

    def __call__(self, log_snr: Scalar) -> Scalar:
        return self.loss_factor


class MSEDecoder(AbstractConditionedDecoder):
    """Decodes clips that are shorter than `data_shape`, too, if they are the first of its latent frames."""

    network: AbstractDenoiser
    weighting: AbstractWeighting
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
        x_hat = self.predict(z_0, key=None if inference else key, raw=raw)
        squared_error = jnp.square(x - x_hat).sum()
        log_snr = jnp.asarray(_NO_INPUT_LOG_SNR)
        return LossTerms(0.5 * self.weighting(log_snr) * squared_error, squared_error, log_snr)

    def predict(
        self,
        z_0: Float[Array, "k *latent"],
        *,
        key: PRNGKeyArray | None = None,
        raw: RawConditions | None = None,
    ) -> Float[Array, "c *space"]:
        """The data expected behind z_0 and what the conditioners say; a key drops some at random."""
        nothing = jnp.zeros(decoded_shape(z_0.shape, self.data_shape, self.latent_frames, causal=self.causal))
        log_snr = jnp.asarray(_NO_INPUT_LOG_SNR)
        k_condition = None if key is None else jax.random.fold_in(key, 2)
        condition = beside(gathered(self.conditioners, raw, key=k_condition), z_0)
        return denoise(self.network, "x", nothing, log_snr, condition, key=key)

    def decode(
        self,
        z_0: Float[Array, "k *latent"],
        sampler: AbstractSampler,
        *,
        key: PRNGKeyArray,
        raw: RawConditions | None = None,
    ) -> Float[Array, "c *space"]:
        return self.predict(z_0, raw=raw)


class MSEDecoderConfig(Component):
    """One-step decoder under a Gaussian likelihood of fixed variance. Source: Heek et al. 2026, Table 5."""

    type: Literal["ulzoo.mse_decoder.v1"] = "ulzoo.mse_decoder.v1"
    example: ClassVar = {
        "network": {
            "type": "ulzoo.vit.v1",
            "width": 8,
            "depth": 1,
            "heads": 1,
            "patch": 2,
            "embedding_width": 8,
        },
    }
    network: Annotated[Component, ComponentOf("network")]
    """Any denoiser network; it sees zeros at its input and the latent as spatial condition."""
    loss_factor: Annotated[float, Effect.OBJECTIVE] = Field(default=100.0, gt=0)
    """1/variance of the Gaussian likelihood: the distortion is ½ · loss_factor · ‖x − x̂‖² nats."""
    conditioners: Annotated[tuple[Annotated[Component, ComponentOf("conditioner")], ...], Later()] = ()
    """What decoding is told beside the latent, such as the class or given frames; none: nothing."""

    def build(self, io: DecoderIO, *, key: PRNGKeyArray) -> MSEDecoder:
        level = io.log_snr if io.random_level else None
        known = ConditionerIO(io.num_classes, io.data_shape, io.latent_shape, io.causal, level)
        conditioners = build_conditioners(self.conditioners, known, key=jax.random.fold_in(key, 1))
        condition = told(conditioners, io.latent_shape[0], io.latent_shape[1:])
        with inside("network"):
            network = self.network.build(NetworkIO(io.data_shape, condition), key=key)
        weighting = ConstantWeighting(jnp.asarray(self.loss_factor, jnp.float32))
        return MSEDecoder(
            network=network,
            weighting=weighting,
            data_shape=io.data_shape,
            conditioners=conditioners,
            latent_frames=io.latent_shape[1],
            causal=io.causal,
        )
