"""A decoder that predicts the data in one step under a squared error (Heek et al. 2026, Table 5)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from ulzoo.components.layers.denoise import denoise
from ulzoo.errors import inside
from ulzoo.interfaces import (
    AbstractDecoder,
    AbstractDenoiser,
    AbstractSampler,
    AbstractWeighting,
    Condition,
    ConditionIO,
    DecoderIO,
    LossTerms,
    NetworkIO,
    Scalar,
    Shape,
)
from ulzoo.spec import Component, ComponentOf, Effect

_NO_INPUT_LOG_SNR = (
    -20.0
)  # where any denoiser is blind: the network sees zeros and is told that they are noise


class ConstantWeighting(AbstractWeighting):
    """1/variance, whatever the noise level. A traced value, like every other weighting."""

    loss_factor: Scalar

    def __call__(self, log_snr: Scalar) -> Scalar:
        return self.loss_factor


class MSEDecoder(AbstractDecoder):
    network: AbstractDenoiser
    weighting: AbstractWeighting
    data_shape: Shape = eqx.field(static=True)

    def distortion(
        self,
        x: Float[Array, "c *space"],
        z_0: Float[Array, "k *latent"],
        t: Scalar,
        *,
        key: PRNGKeyArray,
        inference: bool = False,
    ) -> LossTerms:
        squared_error = jnp.square(x - self.predict(z_0, key=None if inference else key)).sum()
        log_snr = jnp.asarray(_NO_INPUT_LOG_SNR)
        return LossTerms(0.5 * self.weighting(log_snr) * squared_error, squared_error, log_snr)

    def predict(self, z_0: Float[Array, "k *latent"], *, key: PRNGKeyArray | None = None) -> Array:
        """The data expected behind z_0."""
        nothing = jnp.zeros(self.data_shape)
        log_snr = jnp.asarray(_NO_INPUT_LOG_SNR)
        return denoise(self.network, "x", nothing, log_snr, Condition(spatial=z_0), key=key)

    def decode(
        self, z_0: Float[Array, "k *latent"], sampler: AbstractSampler, *, key: PRNGKeyArray
    ) -> Float[Array, "c *space"]:
        return self.predict(z_0)


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

    def build(self, io: DecoderIO, *, key: PRNGKeyArray) -> MSEDecoder:
        with inside("network"):
            network = self.network.build(
                NetworkIO(io.data_shape, ConditionIO(spatial=io.latent_shape)), key=key
            )
        weighting = ConstantWeighting(jnp.asarray(self.loss_factor, jnp.float32))
        return MSEDecoder(network=network, weighting=weighting, data_shape=io.data_shape)
