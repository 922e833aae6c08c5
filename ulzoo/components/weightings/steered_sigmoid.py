"""Sigmoid weight that is given a rate in place of one of its two numbers, which it finds while training.

w(λ) = c sigmoid(b − λ) as in `sigmoid.py`. `ulzoo.diffusion.dial` moves the break-even level
λ* = b + ln(c − 1) until the rate that stage 1 measures sits on the target; c follows where b is given, b
where c is. For the last part of the stage both stay, so that the final objective is a fixed one.

Weighting: Heek et al. 2026, figure 3. The dial is not the paper's.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray
from pydantic import Field, model_validator

from ulzoo.diffusion.dial import running_mean, turned
from ulzoo.diffusion.sigmoid_weight import sigmoid_weight
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractSteeredWeighting, Scalar, WeightingIO
from ulzoo.spec import Component, SpecModel

LOWEST_LOSS_FACTOR, HIGHEST_LOSS_FACTOR = 1.01, 1000.0
"""At 1 nothing pays its way; beyond 1000 something else than its price limits the rate."""
FURTHEST_BIAS = 20.0
START_LOSS_FACTOR = 3.0


class SteeredSigmoid(AbstractSteeredWeighting):
    """w(λ) = loss_factor · sigmoid(bias − λ), and the dial that moves one of the two.

    Attributes:
        level: λ*, which is moved.
        given: the bias, or the loss factor, whichever is not found.
        rate: running mean of the measured rate, in nats of one example.
        target: what it is to be.
        finds: which of the two follows the level.
        settle, freeze: shares of the stage's steps, see the configuration.
    """

    level: Float[Array, ""]
    given: Float[Array, ""]
    rate: Float[Array, ""]
    target: Float[Array, ""]
    finds: Literal["loss_factor", "bias"] = eqx.field(static=True)
    settle: float = eqx.field(static=True)
    freeze: float = eqx.field(static=True)

    def __call__(self, log_snr: Scalar) -> Scalar:
        return sigmoid_weight(self.loss_factor, self.bias, log_snr)

    @property
    def loss_factor(self) -> Float[Array, ""]:
        """c, above 1."""
        return self.given if self.finds == "bias" else 1.0 + jnp.exp(self.level - self.given)

    @property
    def bias(self) -> Float[Array, ""]:
        """b, a log-SNR."""
        return self.level - jnp.log(self.given - 1.0) if self.finds == "bias" else self.given

    @property
    def rate_error(self) -> Float[Array, ""]:
        """rate/target − 1, of the running mean."""
        return self.rate / self.target - 1.0

    def steered(self, nats: Scalar, rate_weight: Scalar, step: Int[Array, ""], steps: int) -> SteeredSigmoid:
        settling = self.settle * steps
        # Averaged over a fifth of it: enough to calm a batch's noise, too short to make the loop swing.
        rate = running_mean(self.rate, nats, step, settling / 5.0)
        level = turned(self.level, self.rate, rate, self.target, settling, self._within)
        # While the rate is underpriced it says nothing of what it will be.
        moving = jnp.isfinite(nats) & (rate_weight >= 1.0) & (step < (1.0 - self.freeze) * steps)
        level = jnp.where(moving, level, self.level)
        return eqx.tree_at(lambda weighting: (weighting.level, weighting.rate), self, (level, rate))

    def readings(self) -> dict[str, Scalar]:
        return {"loss_factor": self.loss_factor, "bias": self.bias, "rate_error": self.rate_error}

    @property
    def _within(self) -> tuple[Scalar, Scalar]:
        if self.finds == "bias":
            strength = jnp.log(self.given - 1.0)
            return strength - FURTHEST_BIAS, strength + FURTHEST_BIAS
        lowest, highest = (math.log(factor - 1.0) for factor in (LOWEST_LOSS_FACTOR, HIGHEST_LOSS_FACTOR))
        return self.given + lowest, self.given + highest


class RateTarget(SpecModel):
    """A rate, the prior's bound on the latent's bits, in one of two units: give exactly one."""

    bits_per_pixel: float | None = Field(default=None, gt=0.0, le=100.0)
    """Bits per pixel (not per colour value; frames of a clip count)."""
    bytes_per_image: float | None = Field(default=None, gt=0.0, le=1e9)
    """Bytes per example."""

    @model_validator(mode="after")
    def _one(self) -> RateTarget:
        _exactly_one(self, "bits_per_pixel", "bytes_per_image")
        return self

    def nats(self, pixels: int) -> float:
        """Nats of one example of so many pixels."""
        bits = (self.bits_per_pixel or 0.0) * pixels + 8.0 * (self.bytes_per_image or 0.0)
        return bits * math.log(2.0)


class SteeredSigmoidConfig(Component):
    """Sigmoid weight of a decoder that is given a rate in place of its loss factor, or of its bias: that one
    is found while training. Source: Heek et al. 2026, figure 3; the dial is not the paper's."""

    type: Literal["ulzoo.steered_sigmoid.v1"] = "ulzoo.steered_sigmoid.v1"
    example: ClassVar = {"rate_target": {"bits_per_pixel": 0.2}, "loss_factor": 3.0}
    rate_target: RateTarget
    """What the rate is to be: {bits_per_pixel: 0.06} or {bytes_per_image: 2000}, as measured in training."""
    bias: float | None = Field(default=None, ge=-FURTHEST_BIAS, le=FURTHEST_BIAS)
    """b, a log-SNR, if it is to stay and the loss factor is to be found: above it (less noise) errors are
    discounted."""
    loss_factor: float | None = Field(default=None, ge=LOWEST_LOSS_FACTOR, le=HIGHEST_LOSS_FACTOR)
    """c_lf, dimensionless, if it is to stay and the bias is to be found: reaches further than the other
    way."""
    start: float | None = Field(default=None, ge=-FURTHEST_BIAS, le=HIGHEST_LOSS_FACTOR)
    """Where the search begins, and stays until the rate has its full weight: a loss factor (null: 3), or a
    bias (null: 2 ln(128 / edge))."""
    settle: float = Field(default=0.1, gt=0.0, le=1.0)
    """Time that the networks are given to follow, as a share of the stage's steps: a longer one is calmer and
    slower. The rate is averaged over a fifth of it."""
    freeze: float = Field(default=0.15, gt=0.0, le=1.0)
    """Last share of the stage's steps, in which nothing moves any more."""

    @model_validator(mode="after")
    def _one(self) -> SteeredSigmoidConfig:
        _exactly_one(self, "bias", "loss_factor")
        low, high = (
            (LOWEST_LOSS_FACTOR, HIGHEST_LOSS_FACTOR)
            if self.loss_factor is None
            else (-FURTHEST_BIAS, FURTHEST_BIAS)
        )
        if self.start is not None and not low <= self.start <= high:
            raise ValueError(f"start must be from {low:g} to {high:g}, got {self.start:g}")
        return self

    def build(self, io: WeightingIO, *, key: PRNGKeyArray | None = None) -> SteeredSigmoid:
        """The weighting; `key` is not needed.

        Raises:
            InterfaceError: a role that has no rate.
        """
        if io.space is None:
            raise InterfaceError("only a decoder's weighting can be steered: there is no rate here")
        if self.loss_factor is None:
            assert self.bias is not None
            given, bias, factor = self.bias, self.bias, self.start or START_LOSS_FACTOR
        else:
            given, factor = self.loss_factor, self.loss_factor
            bias = _usual_bias(io.space) if self.start is None else self.start
        level, target = bias + math.log(factor - 1.0), self.rate_target.nats(math.prod(io.space))
        return SteeredSigmoid(
            level=jnp.asarray(level, jnp.float32),
            given=jnp.asarray(given, jnp.float32),
            rate=jnp.zeros((), jnp.float32),
            target=jnp.asarray(target, jnp.float32),
            finds="loss_factor" if self.loss_factor is None else "bias",
            settle=self.settle,
            freeze=self.freeze,
        )


def _usual_bias(space: tuple[int, ...]) -> float:
    """What SiD2's biases follow: 2 ln(128 / edge)."""
    return 2.0 * math.log(128.0 / math.prod(space[-2:]) ** (1.0 / len(space[-2:])))


def _exactly_one(model: SpecModel, *names: str) -> None:
    given = [name for name in names if getattr(model, name) is not None]
    if len(given) != 1:
        raise ValueError(f"give exactly one of {' and '.join(names)}, got {' and '.join(given) or 'none'}")
