"""What loss factor and bias decide: which information pays its way through the latent.

A nat through the latent costs a nat of rate; without it the decoder pays w(λ) nats for what is visible at
log-SNR λ of the pixels' noise. With w(λ) = loss_factor · sigmoid(bias − λ) the two are equal at

    λ* = bias + ln(loss_factor − 1)

Information at noisier levels pays to go through the latent, finer detail is left to the decoder. At a loss
factor of 1 or less nothing pays. Weighting: Heek et al. 2026, figure 3; λ* is derived from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ulzoo.report.reading import RunData


@dataclass(frozen=True)
class Knobs:
    """The decoder's weighting; None for what it does not have.

    Attributes:
        loss_factor, bias: as the spec gives them; of a weighting that is steered, as training left them, None
            before.
        target: the rate that it is steered by, such as "0.06 bits/pixel".
    """

    weighting: str | None
    loss_factor: float | None
    bias: float | None
    target: str | None = None

    @property
    def break_even(self) -> float | None:
        """λ*, a log-SNR of the pixels' noise; None if there is none."""
        if self.loss_factor is None or self.bias is None or self.loss_factor <= 1.0:
            return None
        return self.bias + math.log(self.loss_factor - 1.0)

    def weight(self, log_snr: float) -> float:
        """w(λ). Raises ValueError without a loss factor and bias."""
        if self.loss_factor is None or self.bias is None:
            raise ValueError("this decoder has no sigmoid weighting")
        return self.loss_factor / (1.0 + math.exp(min(log_snr - self.bias, 700.0)))

    @property
    def words(self) -> str:
        """What they did, in a sentence or two."""
        if self.target is None:
            return self._level_words
        if self.loss_factor is None or self.bias is None:
            return f"They are to be found for a rate of {self.target}; there is no record of that yet."
        return (
            f"For a rate of {self.target}, training came to a loss factor of {self.loss_factor:.4g} and a"
            f" bias of {self.bias:.4g}. {self._level_words}"
        )

    @property
    def _level_words(self) -> str:
        if self.bias is None or self.loss_factor is None:
            return "This decoder's weighting has no bias: there is no break-even level."
        if self.break_even is None:
            return (
                f"A loss factor of {self.loss_factor:g} is at most 1: the weight is below 1 everywhere and"
                " no information pays its way through the latent."
            )
        return (
            f"The weight is above 1 at levels noisier than λ* ="
            f" {self.bias:.6g} + ln({self.loss_factor:.6g} − 1)"
            f" = {self.break_even:.2f}: what an image shows there pays its way through the latent. Finer"
            " detail, at higher log-SNR, is left to the decoder."
        )


def knobs_of(run: RunData) -> Knobs:
    """Loss factor and bias of a run's decoder."""
    weighting = run.setting("decoder.weighting", {})
    weighting = weighting if isinstance(weighting, dict) else {}
    kind = weighting.get("type")
    known = kind.rpartition("::")[2] if isinstance(kind, str) else None
    if known == "ulzoo.steered_sigmoid.v1":
        target = _target(weighting.get("rate_target"))
        return Knobs(kind, _last(run, "loss_factor"), _last(run, "bias"), target)
    if known == "ulzoo.sigmoid.v1":
        return Knobs(kind, _number(weighting.get("loss_factor")), _number(weighting.get("bias")))
    return Knobs(kind, _number(run.setting("decoder.loss_factor")), None)


def _last(run: RunData, name: str) -> float | None:
    points = run.curve(f"stage1/train/{name}")
    return points[-1][1] if points else None


def _target(given: object) -> str | None:
    units = {"bits_per_pixel": "bits/pixel", "bytes_per_image": "bytes per image"}
    values = {name: _number(given.get(name)) for name in units} if isinstance(given, dict) else {}
    return next((f"{value:g} {units[name]}" for name, value in values.items() if value is not None), None)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
