"""Log-SNR linear in time: every noise level is seen equally often."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from ulzoo.diffusion.process import full_precision
from ulzoo.diffusion.schedules import end_points, pin_ends
from ulzoo.interfaces import AbstractSchedule, ScheduleIO
from ulzoo.spec import Component


class Linear(AbstractSchedule):
    """λ(t) = λ_max + (λ_min − λ_max) t."""

    log_snr_max: float = eqx.field(static=True)
    log_snr_min: float = eqx.field(static=True)

    def __call__(self, t: Float[Array, "*n"]) -> Float[Array, "*n"]:
        t = full_precision(t)
        log_snr = self.log_snr_max + (self.log_snr_min - self.log_snr_max) * t
        return pin_ends(log_snr, t, self.log_snr_max, self.log_snr_min)

    def inverse(self, log_snr: Float[Array, "*n"]) -> Float[Array, "*n"]:
        return (self.log_snr_max - full_precision(log_snr)) / (self.log_snr_max - self.log_snr_min)


class LinearConfig(Component):
    """Log-SNR linear in time: every noise level is seen equally often."""

    type: Literal["ulzoo.linear.v1"] = "ulzoo.linear.v1"
    log_snr_min: float = Field(default=-10.0, ge=-20.0, le=0.0)
    """Log-SNR (natural log of α²/σ²) of the noisiest level, at t = 1; at −10 hardly any signal is left."""
    log_snr_max: float | None = Field(default=None, ge=-20.0, le=20.0)
    """Log-SNR of the least noisy level, at t = 0. None: imposed by the latent's noise, or 10 for pixels."""

    def build(self, io: ScheduleIO, *, key: PRNGKeyArray | None = None) -> Linear:
        """The schedule; `key` is not needed.

        Raises:
            InterfaceError: if the ends contradict the imposed level or are not in order.
        """
        return Linear(*end_points(self.log_snr_max, self.log_snr_min, io))
