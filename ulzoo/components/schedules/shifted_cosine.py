"""Cosine schedule moved along log-SNR, so that large images lose their coarse structure in time.

Source: Hoogeboom et al. 2023 (arXiv 2301.11093), §3.1; sign and ends as in Hoogeboom et al. 2024
(arXiv 2410.19324).
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from ulzoo.diffusion.process import full_precision
from ulzoo.diffusion.schedules import cosine_log_snr, cosine_time, end_points, pin_ends
from ulzoo.interfaces import AbstractSchedule, ScheduleIO
from ulzoo.spec import Component


class ShiftedCosine(AbstractSchedule):
    """λ(t) = cosine(t) + shift, the cosine cut so that the ends stay where they were asked for."""

    log_snr_max: float = eqx.field(static=True)
    log_snr_min: float = eqx.field(static=True)
    shift: float = eqx.field(static=True)
    """2 ln(noise_d / image_d), added to log-SNR; negative moves towards more noise."""

    def __call__(self, t: Float[Array, "*n"]) -> Float[Array, "*n"]:
        t = full_precision(t)
        cosine = cosine_log_snr(t, self.log_snr_max - self.shift, self.log_snr_min - self.shift)
        return pin_ends(cosine + self.shift, t, self.log_snr_max, self.log_snr_min)

    def inverse(self, log_snr: Float[Array, "*n"]) -> Float[Array, "*n"]:
        cosine = full_precision(log_snr) - self.shift
        return cosine_time(cosine, self.log_snr_max - self.shift, self.log_snr_min - self.shift)


class ShiftedCosineConfig(Component):
    """Cosine schedule moved along log-SNR for the size of the images. Source: Hoogeboom et al. 2301.11093."""

    type: Literal["ulzoo.shifted_cosine.v1"] = "ulzoo.shifted_cosine.v1"
    example: ClassVar = {"noise_d": 64, "image_d": 256}
    noise_d: int = Field(gt=0)
    """Side length in pixels at which the plain cosine schedule would be right (64 in the paper)."""
    image_d: int = Field(gt=0)
    """Side length of the images in pixels; λ is shifted by 2 ln(noise_d / image_d)."""
    log_snr_min: float = Field(default=-10.0, ge=-20.0, le=0.0)
    """Log-SNR (natural log of α²/σ²) of the noisiest level, at t = 1; at −10 hardly any signal is left."""
    log_snr_max: float | None = Field(default=None, ge=-20.0, le=20.0)
    """Log-SNR of the least noisy level, at t = 0. None: imposed by the latent's noise, or 10 for pixels."""

    def build(self, io: ScheduleIO, *, key: PRNGKeyArray | None = None) -> ShiftedCosine:
        """The schedule; `key` is not needed.

        Raises:
            InterfaceError: if the ends contradict the imposed level or are not in order.
        """
        highest, lowest = end_points(self.log_snr_max, self.log_snr_min, io)
        return ShiftedCosine(highest, lowest, 2.0 * math.log(self.noise_d / self.image_d))
