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
    """The decoder's weighting as the spec gives it; None for what it does not have."""

    weighting: str | None
    loss_factor: float | None
    bias: float | None

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
        if self.bias is None or self.loss_factor is None:
            return "This decoder's weighting has no bias: there is no break-even level."
        if self.break_even is None:
            return (
                f"A loss factor of {self.loss_factor:g} is at most 1: the weight is below 1 everywhere and"
                " no information pays its way through the latent."
            )
        return (
            f"The weight is above 1 at levels noisier than λ* = {self.bias:g} + ln({self.loss_factor:g} − 1)"
            f" = {self.break_even:.2f}: what an image shows there pays its way through the latent. Finer"
            " detail, at higher log-SNR, is left to the decoder."
        )


def knobs_of(run: RunData) -> Knobs:
    """Loss factor and bias of a run's decoder."""
    weighting = run.setting("decoder.weighting", {})
    kind = weighting.get("type") if isinstance(weighting, dict) else None
    sigmoid = isinstance(kind, str) and kind.rpartition("::")[2] == "ulzoo.sigmoid.v1"
    factor = weighting.get("loss_factor") if sigmoid else run.setting("decoder.loss_factor")
    return Knobs(kind, _number(factor), _number(weighting.get("bias") if sigmoid else None))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
