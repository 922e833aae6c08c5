"""Cosine schedule: α = cos θ with the angle θ linear in time; most samples fall on middle noise levels.

Source: Nichol & Dhariwal 2021 (arXiv 2102.09672), eq. 17; cut at its ends as in Kingma & Gao 2023
(arXiv 2303.00848).
"""

from __future__ import annotations

from typing import Literal

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from ulzoo.diffusion.process import full_precision
from ulzoo.diffusion.schedules import cosine_log_snr, cosine_time, end_points, pin_ends
from ulzoo.interfaces import AbstractSchedule, ScheduleIO
from ulzoo.spec import Component


class Cosine(AbstractSchedule):
    """λ(t) = −2 log tan(θ_0 + (θ_1 − θ_0) t), θ_i = arctan e^(−λ_i/2) at the ends."""

    log_snr_max: float = eqx.field(static=True)
    log_snr_min: float = eqx.field(static=True)

    def __call__(self, t: Float[Array, "*n"]) -> Float[Array, "*n"]:
        t = full_precision(t)
        log_snr = cosine_log_snr(t, self.log_snr_max, self.log_snr_min)
        return pin_ends(log_snr, t, self.log_snr_max, self.log_snr_min)

    def inverse(self, log_snr: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return cosine_time(full_precision(log_snr), self.log_snr_max, self.log_snr_min)


class CosineConfig(Component):
    """Cosine schedule: most samples fall on middle noise levels. Source: Nichol & Dhariwal 2102.09672."""

    type: Literal["ulzoo.cosine.v1"] = "ulzoo.cosine.v1"
    log_snr_min: float = Field(default=-10.0, ge=-20.0, le=0.0)
    """Log-SNR (natural log of α²/σ²) of the noisiest level, at t = 1; at −10 hardly any signal is left."""
    log_snr_max: float | None = Field(default=None, ge=-20.0, le=20.0)
    """Log-SNR of the least noisy level, at t = 0. None: imposed by the latent's noise, or 10 for pixels."""

    def build(self, io: ScheduleIO, *, key: PRNGKeyArray | None = None) -> Cosine:
        """The schedule; `key` is not needed.

        Raises:
            InterfaceError: if the ends contradict the imposed level or are not in order.
        """
        return Cosine(*end_points(self.log_snr_max, self.log_snr_min, io))
