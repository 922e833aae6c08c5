"""The contracts between components, and the glossary of axes.

Axes (jaxtyping names; inside models everything is channels first and unbatched, `jax.vmap` makes batches):
    c       channels of pixels or of a latent
    *space  spatial axes: (h, w) for images, (t, h, w) for video
    d       width of a vector condition
    b       examples in a batch (only in programs, data and metrics)

Times `t` run from 0 (least noise) to 1 (most noise). `log_snr` is the natural log of α²/σ², everywhere.
Losses and rates are nats, summed over dimensions, of one example.

A component is registered as a pydantic class (`ulzoo.spec.Component`) with
`build(io, *, key) -> module`, where `io` is one of the dataclasses below: what the component must
accept and produce, derived from the data and the encoder, never repeated in YAML.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float, Int, PRNGKeyArray

Shape = tuple[int, ...]
Scalar = Float[Array, ""]
RawConditions = Mapping[str, Array]
"""Conditions of one example as the data gives them, such as {"label": int32 scalar}. In training `x` is the
example itself, (c, *space) in [−1, 1]: what of it is a condition, a conditioner says."""

LATENT_LEVEL = "latent_log_snr"
"""Entry of a decoder's raw conditions in training: the log-SNR of its latent, where that is random."""


# ---- what a component is built for ------------------------------------------------------------


@dataclass(frozen=True)
class DataIO:
    """What a dataset yields: `shape` is (c, *space) of one example; `num_classes` is None without labels;
    `stills`: how many images, clips of one frame, come beside each clip in training."""

    shape: Shape
    num_classes: int | None = None
    stills: int = 0


@dataclass(frozen=True)
class EncoderIO:
    """`moments` is 1 for a deterministic encoder, 2 when it also gives a log-variance (learned noise).

    The module must map `data_shape` to (moments * latent channels, *latent space). A configuration may say
    the latent's shape by a method `latent_shape(data_shape)`, with errors that name its own fields; without
    it the shape is found by running the module abstractly.
    """

    data_shape: Shape
    moments: int = 1


@dataclass(frozen=True)
class ConditionIO:
    """Shapes of a `Condition`: `vector` is its width (0: none), `spatial` its (c, *space) or None."""

    vector: int = 0
    spatial: Shape | None = None


@dataclass(frozen=True)
class NetworkIO:
    """A denoiser maps `shape` to `shape`, given a log-SNR and a condition."""

    shape: Shape
    condition: ConditionIO = ConditionIO()


@dataclass(frozen=True)
class PriorIO:
    """`log_snr` is the one minimum noise of the spec: λ_z(0) of encoder, prior, decoder and base model."""

    latent_shape: Shape
    log_snr: float


@dataclass(frozen=True)
class DecoderIO:
    """`causal`: the first latent frame is of the first frame alone, the others of equal groups after it.
    `random_level`: latents have random noise, at least that of `log_snr`."""

    data_shape: Shape
    latent_shape: Shape
    log_snr: float
    num_classes: int | None = None
    causal: bool = False
    random_level: bool = False


@dataclass(frozen=True)
class BaseIO:
    """`causal` as in `DecoderIO`."""

    latent_shape: Shape
    log_snr: float
    num_classes: int | None = None
    data_shape: Shape | None = None
    causal: bool = False


@dataclass(frozen=True)
class ConditionerIO:
    """The shapes are for conditions that have a place in data and latent, such as frames; `causal` as in
    `DecoderIO`; `random_log_snr`: of the least noise of latents whose noise is random, else None."""

    num_classes: int | None = None
    data_shape: Shape | None = None
    latent_shape: Shape | None = None
    causal: bool = False
    random_log_snr: float | None = None


@dataclass(frozen=True)
class ScheduleIO:
    """`log_snr_max` is imposed (latents end at the encoder's noise) or None (pixels: the schedule's own)."""

    log_snr_max: float | None = None


@dataclass(frozen=True)
class WeightingIO:
    """`space`: shape of the data without channels, where there is a rate to be steered by: in decoders; else
    None."""

    space: Shape | None = None


@dataclass(frozen=True)
class SamplerIO:
    """Samplers need to know nothing; here so that `build` has one form."""


@dataclass(frozen=True)
class OptimizerIO:
    """`steps`: how many optimiser steps the stage will take (learning-rate schedules end there)."""

    steps: int


# ---- values that pass between components ------------------------------------------------------


class Condition(eqx.Module):
    """What a network is told beside its noisy input and log-SNR."""

    vector: Float[Array, "d"] | None = None
    spatial: Float[Array, "c *space"] | None = None


class RateTerms(eqx.Module):
    """Rate of one latent in nats, split; the maps are summed over channels, one value per latent position.

    The rate is `diffusion + terminal + posterior`, summed. `penalty` is part of the training loss but
    not of the rate (for instance the discount of a discounted KL).
    """

    diffusion: Float[Array, "*space"]
    terminal: Float[Array, "*space"]
    posterior: Float[Array, "*space"]
    penalty: Scalar
    log_snr: Scalar

    @property
    def map(self) -> Float[Array, "*space"]:
        """Nats per latent position."""
        return self.diffusion + self.terminal + self.posterior

    @property
    def nats(self) -> Scalar:
        return self.map.sum()


class LossTerms(eqx.Module):
    """A denoising loss of one example: `loss` is what is trained on (nats, weighted, summed)."""

    loss: Scalar
    squared_error: Scalar
    """‖x − x̂‖², summed, unweighted: for logging."""
    log_snr: Scalar


# ---- contracts ---------------------------------------------------------------------------------


class AbstractEncoder(eqx.Module):
    """Deterministic map from data to the clean latent (Heek et al. 2026, §3)."""

    @abc.abstractmethod
    def __call__(
        self, x: Float[Array, "c *space"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "m *latent"]:
        """z_clean, or (`EncoderIO.moments` 2) its mean, and its log-variance relative to the fixed noise's
        (plus λ_z(0)), stacked on channels.

        Args:
            x: one example in [−1, 1].
            key: dropout on if given, off if None.
        """


class AbstractDenoiser(eqx.Module):
    """A network, usable in a prior, a decoder or a base model; they say what its output means (v, x or ε)."""

    @abc.abstractmethod
    def __call__(
        self,
        z_t: Float[Array, "c *space"],
        log_snr: Scalar,
        condition: Condition,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "c *space"]:
        """Output of the shape of `z_t`. `key`: dropout on if given, off if None."""


class AbstractSchedule(eqx.Module):
    """Noise schedule: log-SNR falls monotonically from `log_snr_max` at t=0 to `log_snr_min` at t=1."""

    log_snr_max: eqx.AbstractVar[float]
    log_snr_min: eqx.AbstractVar[float]

    @abc.abstractmethod
    def __call__(self, t: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """log-SNR at times `t` in [0, 1]."""

    @abc.abstractmethod
    def inverse(self, log_snr: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """The time of a log-SNR between the end points."""


class AbstractWeighting(eqx.Module):
    """Weight w(λ) on ½ (−dλ/dt) ‖ε − ε̂‖² (equally on e^λ ‖x − x̂‖²).

    Its array leaves (loss factor, bias) are traced values that are carried in the training state and are
    not trained: a controller may move them while training.
    """

    @abc.abstractmethod
    def __call__(self, log_snr: Scalar) -> Scalar:
        """Dimensionless weight at a log-SNR."""


class AbstractSteeredWeighting(AbstractWeighting):
    """A weighting that moves its own knobs by the rate that stage 1 measures.

    All that the moving depends on is among its array leaves, so it is saved, restored and resumed with them.
    """

    @abc.abstractmethod
    def steered(
        self, nats: Scalar, rate_weight: Scalar, step: Int[Array, ""], steps: int
    ) -> AbstractSteeredWeighting:
        """The same weighting as the next step is to use it.

        Args:
            nats: rate of one example, mean over this step's batch; may be not finite.
            rate_weight: of the rate in this step's loss, from 0 to 1: below 1 it is warming up.
            step, steps: done before this one, and of the whole stage.
        """

    @abc.abstractmethod
    def readings(self) -> dict[str, Scalar]:
        """What is recorded of it in each step: any of `loss_factor`, `bias` and `rate_error`."""


class AbstractSampler(eqx.Module):
    """Integrates a denoiser from much noise to little."""

    steps: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(
        self,
        denoise: Any,
        z: Float[Array, "*shape"],
        log_snrs: Float[Array, "n"],
        *,
        key: PRNGKeyArray,
        clean: bool,
    ) -> Float[Array, "*shape"]:
        """From `z` at `log_snrs[0]` towards `log_snrs[-1]` (rising).

        Args:
            denoise: (z_t, log_snr) → x̂.
            log_snrs: `steps + 1` levels.
            key: for samplers that add noise; others leave it unused.
            clean: False ends at `log_snrs[-1]`, still noisy (latents); True returns the last x̂ (pixels).
        """


class AbstractConditioner(eqx.Module):
    """Turns raw conditions of one example into a vector for the network. `tells_level`: it reads
    `raw[LATENT_LEVEL]`, which random noise needs; without that entry a latent has the least noise."""

    width: eqx.AbstractVar[int]
    tells_level: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, raw: RawConditions, *, key: PRNGKeyArray | None = None) -> Float[Array, "d"]:
        """The condition's vector. `key`: random dropping of the condition (for guidance) if given."""

    @abc.abstractmethod
    def null(self) -> Float[Array, "d"]:
        """The vector that stands for "no condition"."""


class AbstractGridConditioner(eqx.Module):
    """Turns raw conditions of one example into channels at every position of the latent; registered as a
    conditioner, beside those that give a vector."""

    width: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, raw: RawConditions, *, key: PRNGKeyArray | None = None) -> Float[Array, "d *latent"]:
        """`width` channels on the latent's grid. `key`: random choice and dropping if given."""

    @abc.abstractmethod
    def null(self) -> Float[Array, "d *latent"]:
        """What stands for "no condition"."""


class AbstractPrior(eqx.Module):
    """Prices latents (Heek et al. 2026, §3.1)."""

    is_bound: eqx.AbstractVar[bool]
    """Whether the objective's rate is an upper bound: unweighted, summed, terminal KL, no stop-gradient."""

    @abc.abstractmethod
    def rate(
        self, z_clean: Float[Array, "c *space"], t: Scalar, *, key: PRNGKeyArray, inference: bool = False
    ) -> RateTerms:
        """One-sample estimate, at time `t`, of the rate of one latent; unbiased over t ~ U(0, 1)."""


class AbstractDecoder(eqx.Module):
    """Turns a noisy latent z_0 into data (Heek et al. 2026, §3.2)."""

    @abc.abstractmethod
    def distortion(
        self,
        x: Float[Array, "c *space"],
        z_0: Float[Array, "k *latent"],
        t: Scalar,
        *,
        key: PRNGKeyArray,
        inference: bool = False,
    ) -> LossTerms:
        """One-sample estimate at time `t` of the weighted distortion of one example."""

    @abc.abstractmethod
    def decode(
        self, z_0: Float[Array, "k *latent"], sampler: AbstractSampler, *, key: PRNGKeyArray
    ) -> Float[Array, "c *space"]:
        """A reconstruction x̂ in about [−1, 1]. A decoder that does not sample leaves `sampler` unused."""


class AbstractConditionedDecoder(AbstractDecoder):
    """A decoder that is also told conditions of the example, as a base model is: `distortion` and `decode`
    take one more argument by name, `raw: RawConditions | None = None`; None: nothing is known.

    Unless `inference`, `distortion` drops conditions at random. `tells_level`: as a conditioner's."""

    tells_level: ClassVar[bool] = False


class AbstractBase(eqx.Module):
    """The generative model on frozen latents (Heek et al. 2026, §3.3)."""

    schedule: eqx.AbstractVar[AbstractSchedule]

    @abc.abstractmethod
    def loss(
        self,
        z_clean: Float[Array, "c *space"],
        raw: RawConditions,
        t: Scalar,
        *,
        key: PRNGKeyArray,
        inference: bool = False,
    ) -> LossTerms:
        """One-sample estimate at time `t` of the weighted denoising loss; z_clean is noised once, here."""

    @abc.abstractmethod
    def denoise(
        self, z_t: Float[Array, "c *space"], log_snr: Scalar, raw: RawConditions | None
    ) -> Float[Array, "c *space"]:
        """The clean latent expected behind z_t; `raw` None means unconditional (for guidance)."""
