"""Sigmoid weight: detail at low noise is discounted, and the loss factor sets the price of the latent.

Source: Heek et al. 2026, figure 3; Hoogeboom et al. 2024 (arXiv 2410.19324). On the ε error
the weight is c sigmoid(b − λ). The text of the former prints sigmoid(λ − b), which with a factor e^b is
the weight on the x error: e^λ sigmoid(b − λ) = e^b sigmoid(λ − b).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field, model_validator

from ulzoo.diffusion.sigmoid_weight import sigmoid_weight
from ulzoo.interfaces import AbstractWeighting, Scalar, WeightingIO
from ulzoo.spec import Component


class Sigmoid(AbstractWeighting):
    """w(λ) = loss_factor · sigmoid(bias − λ)."""

    loss_factor: Float[Array, ""]
    bias: Float[Array, ""]

    def __call__(self, log_snr: Scalar) -> Scalar:
        return sigmoid_weight(self.loss_factor, self.bias, log_snr)


class SigmoidConfig(Component):
    """Sigmoid weight: detail at low noise is discounted, and the loss factor sets the price of the latent.
    Source: Heek et al. 2026, figure 3; Hoogeboom et al. 2410.19324."""

    type: Literal["ulzoo.sigmoid.v1"] = "ulzoo.sigmoid.v1"
    example: ClassVar = {"loss_factor": 3.0, "bias": 3.0}
    loss_factor: float = Field(gt=0.0, le=1000.0)
    """c_lf, nats of distortion per nat of rate, dimensionless. A decoder needs more than 1, or no information
    pays its way through the latent (1.3 to 2.1 in the paper); for a base model any value scales the loss."""
    bias: float = Field(ge=-20.0, le=20.0)
    """b, a log-SNR: above it (less noise) errors are discounted. Follows resolution: about −3 at 512²,
    positive at 64² and below."""

    @model_validator(mode="before")
    @classmethod
    def _finds_none(cls, data: Any) -> Any:
        if isinstance(data, dict) and "rate_target" in data:
            raise ValueError(
                "rate_target is of ulzoo.steered_sigmoid.v1, which finds one of these two numbers"
            )
        return data

    def build(self, io: WeightingIO, *, key: PRNGKeyArray | None = None) -> Sigmoid:
        """The weighting; `io` and `key` are not needed."""
        return Sigmoid(
            loss_factor=jnp.asarray(self.loss_factor, jnp.float32), bias=jnp.asarray(self.bias, jnp.float32)
        )
