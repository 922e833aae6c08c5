"""Cosine schedule whose shift changes with time: one image size's at low noise, another's at high noise.

Source: Hoogeboom et al. 2023 (arXiv 2301.11093), §3.1 and its appendix.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from ulzoo.diffusion.process import full_precision
from ulzoo.diffusion.schedules import cosine_log_snr, end_points, negative_slope, pin_ends
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractSchedule, ScheduleIO
from ulzoo.spec import Component


class InterpolatedCosine(AbstractSchedule):
    """λ(t) = cosine(t) + t shift_low + (1 − t) shift_high, the cosine cut so that the ends are exact."""

    log_snr_max: float = eqx.field(static=True)
    log_snr_min: float = eqx.field(static=True)
    shift_low: float = eqx.field(static=True)
    """2 ln(noise_d_low / image_d): the shift at t = 1, where log-SNR is low."""
    shift_high: float = eqx.field(static=True)
    """2 ln(noise_d_high / image_d) ≥ shift_low: the shift at t = 0, where log-SNR is high."""

    def __call__(self, t: Float[Array, "*n"]) -> Float[Array, "*n"]:
        t = full_precision(t)
        cosine = cosine_log_snr(t, self.log_snr_max - self.shift_high, self.log_snr_min - self.shift_low)
        log_snr = cosine + t * self.shift_low + (1.0 - t) * self.shift_high
        return pin_ends(log_snr, t, self.log_snr_max, self.log_snr_min)

    def inverse(self, log_snr: Float[Array, "*n"]) -> Float[Array, "*n"]:
        """No closed form: bisection to the last bit, which cannot miss since λ(t) is monotone."""
        log_snr = full_precision(log_snr)

        def halve(_, bounds):
            low, high = bounds
            middle = 0.5 * (low + high)
            before = self(middle) > log_snr
            return jnp.where(before, middle, low), jnp.where(before, high, middle)

        bits = jnp.finfo(log_snr.dtype).nmant + 2
        fixed = jax.lax.stop_gradient(log_snr)
        bounds = (jnp.zeros_like(fixed), jnp.ones_like(fixed))
        low, high = jax.lax.fori_loop(0, bits, halve, bounds)
        t = jax.lax.stop_gradient(0.5 * (low + high))
        # Adds nothing, and gives the inverse its derivative 1/(dλ/dt), which bisection has not.
        return t - (log_snr - fixed) / negative_slope(self, t)


class InterpolatedCosineConfig(Component):
    """Cosine schedule with one image size's shift at low noise and another's at high noise.
    Source: Hoogeboom et al. 2301.11093, §3.1."""

    type: Literal["ulzoo.interpolated_cosine.v1"] = "ulzoo.interpolated_cosine.v1"
    example: ClassVar = {"image_d": 256, "noise_d_low": 32, "noise_d_high": 256}
    image_d: int = Field(gt=0)
    """Side length of the images in pixels."""
    noise_d_low: int = Field(gt=0)
    """Side length in pixels whose shift, 2 ln(noise_d_low / image_d), holds at t = 1 (much noise)."""
    noise_d_high: int = Field(gt=0)
    """Side length in pixels whose shift holds at t = 0 (little noise); at least noise_d_low."""
    log_snr_min: float = Field(default=-10.0, ge=-20.0, le=0.0)
    """Log-SNR (natural log of α²/σ²) of the noisiest level, at t = 1; at −10 hardly any signal is left."""
    log_snr_max: float | None = Field(default=None, ge=-20.0, le=20.0)
    """Log-SNR of the least noisy level, at t = 0. None: imposed by the latent's noise, or 10 for pixels."""

    @field_validator("noise_d_high")
    @classmethod
    def _monotone(cls, value: int, info: ValidationInfo) -> int:
        low = info.data.get("noise_d_low")
        if low is not None and value < low:
            raise ValueError(
                f"must be at least noise_d_low = {low}, or log-SNR would not fall with time, got {value}"
            )
        return value

    def build(self, io: ScheduleIO, *, key: PRNGKeyArray | None = None) -> InterpolatedCosine:
        """The schedule; `key` is not needed.

        Raises:
            InterfaceError: if the ends contradict the imposed level or are not in order, or are closer than
                the two shifts.
        """
        highest, lowest = end_points(self.log_snr_max, self.log_snr_min, io)
        low = 2.0 * math.log(self.noise_d_low / self.image_d)
        high = 2.0 * math.log(self.noise_d_high / self.image_d)
        if not lowest - low < highest - high:
            raise InterfaceError(
                "noise_d_low and noise_d_high are too far apart: their shifts differ by "
                f"{high - low:g}, log_snr_max and log_snr_min by {highest - lowest:g}"
            )
        return InterpolatedCosine(highest, lowest, low, high)
