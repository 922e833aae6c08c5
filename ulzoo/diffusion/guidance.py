"""Classifier-free guidance, within an interval of noise levels."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jaxtyping import Array, Float

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import Scalar

Denoise = Callable[[Float[Array, "*shape"], Scalar], Float[Array, "*shape"]]


def guided(
    conditional: Denoise,
    unconditional: Denoise,
    scale: float,
    interval: tuple[float, float] | None = None,
) -> Denoise:
    """x̂_u + scale (x̂_c − x̂_u) inside the interval, x̂_c outside of it.

    The mixture may be taken of x̂ as well as of ε̂ or v̂: at one z_t they are affine in each other.

    Args:
        conditional: (z_t, log_snr) → x̂ under the condition.
        unconditional: the same without it; evaluated inside the interval only.
        scale: 1 is the conditional model itself (returned as it is), 0 the unconditional one.
        interval: (lowest, highest) log-SNR at which to guide, both included; None: everywhere.

    Raises:
        InterfaceError: if the scale is negative or the interval is empty.

    Source: Ho & Salimans 2022 (arXiv 2207.12598), eq. 6, with scale = 1 + w; interval: Kynkäänniemi et al.
    2024 (arXiv 2404.07724).
    """
    if not scale >= 0.0:
        raise InterfaceError(f"guidance: scale must be at least 0, got {scale}")
    if interval is not None and not interval[0] < interval[1]:
        raise InterfaceError(f"guidance: log_snr_interval must rise, got {interval[0]:g} to {interval[1]:g}")
    if scale == 1.0:
        return conditional

    def denoise(z_t: Float[Array, "*shape"], log_snr: Scalar) -> Float[Array, "*shape"]:
        x_conditional = conditional(z_t, log_snr)

        def mixture() -> Float[Array, "*shape"]:
            x_unconditional = unconditional(z_t, log_snr)
            return x_unconditional + scale * (x_conditional - x_unconditional)

        if interval is None:
            return mixture()
        inside = (interval[0] <= log_snr) & (log_snr <= interval[1])
        return jax.lax.cond(inside, mixture, lambda: x_conditional)

    return denoise
