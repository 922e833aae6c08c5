"""The spec: everything that defines an experiment, as data."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from ulzoo.spec.component import SEEDS, Component, ComponentOf, SpecModel, default_component
from ulzoo.spec.effect import Effect, Later
from ulzoo.spec.parallel import Parallel
from ulzoo.spec.precision import Precision
from ulzoo.spec.text import Document


class RandomLevels(SpecModel):
    """log-SNRs of random noise: a logistic distribution, cut off above at the latent's `log_snr`
    (Heek et al. 2026, Appendix B)."""

    location: float = Field(ge=-20, le=20)
    """Median before it is cut, a log-SNR."""

    scale: float = Field(default=1.0, gt=0, le=10)
    """Of the logistic distribution; its standard deviation is 1.8 times that."""


class Latent(SpecModel):
    """The latent's noise: one number for encoder, prior, decoder and base model (Heek et al. 2026, §3)."""

    log_snr: float = Field(default=5.0, gt=0, le=20)
    """λ_z(0), natural log of α²/σ² of the noisy latent z_0 that the decoder sees: the prior's least noise."""

    noise: Annotated[Literal["fixed", "learned", "random"], Effect.PARAMETERS] = "fixed"
    """`fixed`: the encoder gives z_clean alone; `learned`: a log-variance too (the paper's ablation D);
    `random`: in training each example's noise has a level of its own, at least that of `log_snr`, which the
    decoder is told by a conditioner such as `ulzoo.latent_level.v1` (the paper's Appendix B)."""

    level: Annotated[RandomLevels | None, Effect.OBJECTIVE, Later()] = None
    """Of `random` noise: how its log-SNR is distributed."""

    @model_validator(mode="after")
    def _level_of_random_noise(self) -> Latent:
        if (self.noise == "random") != (self.level is not None):
            given = "none is given" if self.level is None else f"noise is {self.noise!r}"
            raise ValueError(f"level belongs to noise: random, which needs one; {given}")
        return self


class KeepBest(SpecModel):
    """The checkpoints that are best by a metric."""

    metric: str = Field(default="validation/loss", pattern=r"^(train|validation)/[a-z0-9_]+$")
    """`validation/NAME`: of held-out batches, with averaged weights, measured at each checkpoint;
    `train/NAME`: the mean over the steps before it. Names as in the training records, such as `loss`."""

    mode: Literal["min", "max"] = "min"
    """Whether the least or the greatest value is the best."""

    count: int = Field(default=1, gt=0)
    """How many of the best stay."""

    batches: int = Field(default=4, gt=0)
    """Held-out batches that `validation/…` is measured on."""


class Stage(SpecModel):
    """What both training stages have."""

    steps: int = Field(gt=0)
    """Optimiser steps."""

    batch_size: int = Field(gt=0)
    """Examples per step, over all devices."""

    accumulate: Annotated[int, Effect.PERFORMANCE] = Field(default=1, gt=0)
    """Micro-batches that a batch is taken in, one after the other, for less memory; equal to rounding."""

    optimizer: Annotated[Component, ComponentOf("optimizer")] = default_component("ulzoo.adam.v1")
    """Update rule and learning rate."""

    ema: float = Field(default=0.9999, ge=0, lt=1)
    """Decay per step of the averaged weights, which evaluation, sampling and stage 2 use; 0: no averaging.
    Early on it is at most (1 + step)/(10 + step)."""

    log_every: Annotated[int, Effect.NOTHING] = Field(default=50, gt=0)
    """Steps between training records."""

    readers: Annotated[int, Effect.PERFORMANCE] = Field(default=2, ge=0, le=256)
    """Threads that read and decode batches ahead, about one for each core; 0 reads when a batch is asked for.
    The order and content of batches do not depend on it."""

    workers: Annotated[int, Effect.PERFORMANCE] = Field(default=0, ge=0, le=256)
    """Processes that read and decode batches ahead, in place of the threads of `readers`; 0: threads. For
    sources in pure Python, and for libraries that may crash: a process that dies is named with its record,
    which counts as damaged, and replaced. Order and content of batches do not depend on it."""

    checkpoint_every: Annotated[int | None, Effect.NOTHING] = Field(default=None, gt=0)
    """Steps between checkpoints; null: only at the end of the stage."""

    keep: Annotated[int, Effect.NOTHING] = Field(default=2, gt=0)
    """How many of the latest checkpoints stay."""

    keep_every: Annotated[int | None, Effect.NOTHING] = Field(default=None, gt=0)
    """Checkpoints whose step is a multiple of this stay too; null: none for that reason."""

    keep_best: Annotated[KeepBest | None, Effect.NOTHING] = None
    """Checkpoints that are best by a metric stay too; null: none for that reason."""

    nonfinite: Annotated[Literal["stop", "skip"], Effect.PERFORMANCE] = "stop"
    """A loss or gradient that is not finite: `stop` ends the run before anything is saved; `skip` leaves
    weights, EMA and optimiser as they were in that step, counts it, and ends the run after 100 in a row."""


class Stage1(Stage):
    """Training of encoder, prior and decoder together (Heek et al. 2026, Algorithm 1)."""

    rate_warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the rate's weight in the loss rises from 0 to 1; until then the loss is a proxy."""

    data: Annotated[Annotated[Component, ComponentOf("dataset")] | None, Effect.DATA, Later()] = None
    """Other data that this stage trains on, of the same shape; null: the spec's. Everything is measured on
    the spec's, and stage 2 trains on it."""

    @field_validator("rate_warmup_steps")
    @classmethod
    def _within_steps(cls, value: int, info: ValidationInfo) -> int:
        steps = info.data.get("steps")
        if steps is not None and value > steps:
            raise ValueError(f"must be at most steps = {steps}, got {value}")
        return value


class Stage2(Stage):
    """Training of the base model on latents of the frozen encoder (Heek et al. 2026, §3.3)."""

    latents: Annotated[str | None, Effect.PERFORMANCE] = Field(default=None, min_length=1)
    """Folder that `ulzoo encode` wrote, read in place of encoding at every step; null: encode. Latents of
    another encoder, preprocessing or data are refused."""

    encode_once: Annotated[bool, Effect.PERFORMANCE] = False
    """Encode the training split once, to `latents/` in the run, and read that in place of encoding at every
    step. For data that draws nothing at random but mirror images."""

    @field_validator("encode_once")
    @classmethod
    def _one_place(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("latents") is not None:
            raise ValueError("latents names a folder already: give one of the two")
        return value

    @property
    def reads_latents(self) -> bool:
        """Whether training reads latents in place of examples."""
        return self.encode_once or self.latents is not None


class Guidance(SpecModel):
    """Classifier-free guidance of the base model."""

    scale: float = Field(default=1.0, ge=0)
    """x̂ = x̂_uncond + scale (x̂_cond − x̂_uncond); 1: the conditional model alone."""

    log_snr_interval: tuple[float, float] | None = None
    """Guidance acts where the log-SNR lies between these two (lower, upper); null: everywhere."""

    @field_validator("log_snr_interval")
    @classmethod
    def _rising(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError(f"the lower end must be below the upper end, got [{value[0]:g}, {value[1]:g}]")
        return value


class Sample(SpecModel):
    """How samples are drawn at the end of a run, and by default afterwards."""

    count: int = Field(default=64, gt=0)
    """Samples drawn at the end of a run."""

    batch_size: Annotated[int, Effect.PERFORMANCE] = Field(default=256, gt=0)
    """Samples drawn at once, over all devices."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Seed of the samples' noise."""

    sampler: Annotated[Component, ComponentOf("sampler")] = default_component("ulzoo.ddim.v1", steps=64)
    """Sampler of the base model, from noise to z_0."""

    decoder_sampler: Annotated[Component, ComponentOf("sampler")] = default_component(
        "ulzoo.ddim.v1", steps=64
    )
    """Sampler of the decoder, from noise to pixels."""

    starts: Literal["independent", "sobol"] = "independent"
    """Noise that the base model's sampler starts from: `independent` draws, or a scrambled `sobol` sequence
    for each class, whose sets of samples cover the distribution more evenly. Distances such as FID are lower
    with it, most so for few samples, and are to be compared with others of its kind."""

    guidance: Guidance = Field(default={}, validate_default=True)
    """Guidance of the base model."""


def _reason(value: str) -> str:
    if not value.strip():
        raise ValueError(f"needs a reason, got {value!r}")
    return value


class Spec(SpecModel):
    """A whole experiment. Made by `load_spec` from YAML, or in Python from the same classes.

    Two specs are equal when their fields are; where a spec was read from is no part of its value.
    """

    # Of what is not declared below, and safest: it counts towards the hash.
    effect: ClassVar[Effect] = Effect.OBJECTIVE

    ulzoo: Literal[1]
    """Version of this schema."""

    name: Annotated[str | None, Effect.NOTHING] = None
    """A word for run directories and reports: letters, digits, `.`, `_` and `-`."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Seed of parameters, data order and training noise."""

    data: Annotated[Component, ComponentOf("dataset"), Effect.DATA]
    """Where examples come from, and their shape."""

    latent: Latent = Field(default={}, validate_default=True)
    """The latent's noise."""

    encoder: Annotated[Component, ComponentOf("encoder"), Effect.PARAMETERS]
    """From data to the clean latent."""

    prior: Annotated[Component, ComponentOf("prior"), Effect.PARAMETERS]
    """Prices the latent: the rate."""

    decoder: Annotated[Component, ComponentOf("decoder"), Effect.PARAMETERS]
    """From the noisy latent back to data: the distortion."""

    base_model: Annotated[Component, ComponentOf("base_model"), Effect.PARAMETERS] | None = None
    """The generative model of latents, trained in stage 2; null: stage 1 only."""

    stage1: Stage1
    """Training of encoder, prior and decoder."""

    stage2: Stage2 | None = Field(default=None, validate_default=True)
    """Training of the base model; given exactly when `base_model` is."""

    precision: Literal["float32", "bfloat16"] | Precision = "float32"
    """Number format in which networks compute, or a mapping that names others too. Losses, averages and
    optimiser are float32 in any case."""

    sample: Annotated[Sample, Effect.MEASUREMENT] = Field(default={}, validate_default=True)
    """How samples are drawn."""

    evaluate: Annotated[tuple[Annotated[Component, ComponentOf("metric")], ...], Effect.MEASUREMENT] = ()
    """Metrics measured at the end of a run."""

    trackers: Annotated[tuple[Annotated[Component, ComponentOf("tracker")], ...], Effect.NOTHING] = ()
    """Who is told records and pictures as they are made, beside the run's own `metrics.jsonl`."""

    parallel: Annotated[Parallel, Effect.PERFORMANCE] = Field(default={}, validate_default=True)
    """Layout over devices."""

    silence: Annotated[dict[str, Annotated[str, AfterValidator(_reason)]], Effect.NOTHING] = {}
    """Warnings that are known and meant: code, such as UL003, to the reason why."""

    @property
    def formats(self) -> Precision:
        """`precision`, written out."""
        return self.precision if isinstance(self.precision, Precision) else Precision(compute=self.precision)

    _source: Document = PrivateAttr(default_factory=lambda: Document(None))

    @field_validator("name")
    @classmethod
    def _slug(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
            raise ValueError(f"must be one word of letters, digits, '.', '_' and '-', got {value[:60]!r}")
        return value

    @field_validator("precision")
    @classmethod
    def _short(cls, value: str | Precision) -> str | Precision:
        """One way to write what means the same: the word, where compute alone is chosen."""
        if isinstance(value, Precision) and value == Precision(compute=value.compute):
            return value.compute
        return value

    @field_validator("stage2")
    @classmethod
    def _both_or_neither(cls, value: Stage2 | None, info: ValidationInfo) -> Stage2 | None:
        if "base_model" in info.data and (value is None) != (info.data["base_model"] is None):
            absent, present = ("stage2", "base_model") if value is None else ("base_model", "stage2")
            raise ValueError(f"base_model and stage2 go together: {present} is given, {absent} is not")
        return value
