"""From sampled rates to numbers that can be reported. NumPy, float64, no JAX.

A rate is measured on n images, k noise levels each: `nats[i, j]` is a one-sample estimate of the rate of
image i, unbiased over its times. Everything here is a mean over that table in some unit, or a split of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Label = Literal["upper bound", "proxy"]


@dataclass(frozen=True)
class Estimate:
    """A mean over images, with a bootstrap interval (None with fewer than two images)."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class NoiseSplit:
    """The rate by noise level, in nats per image.

    Attributes:
        edges: (bins + 1,) rising log-SNRs.
        nats: (bins,) contribution of each bin to the diffusion term; may be noisy, never negative.
        remainder: what has no noise level: the terminal and the posterior term.
    """

    edges: Floats
    nats: Floats
    remainder: float


@dataclass(frozen=True)
class RateAccount:
    """The rate of a set of images in every unit in use.

    Attributes:
        label: "upper bound" if the prior's objective is one, otherwise "proxy".
        images: how many images.
        times: noise levels per image.
        nats: per image.
        bits_per_latent_dim: bits per element of the latent.
        bits_per_pixel: bits per pixel of the data, not per colour value; for video per pixel of each frame.
        bytes_per_image: per image (for video per clip).
        bits_per_latent_frame: bits per slice along the latent's first axis, which for video is time.
        by_noise_level: sums to `nats`.
        by_position: (*latent space) bits per latent position, mean over images; sums to `nats` in bits.
    """

    label: Label
    images: int
    times: int
    nats: Estimate
    bits_per_latent_dim: Estimate
    bits_per_pixel: Estimate
    bytes_per_image: Estimate
    bits_per_latent_frame: Estimate
    by_noise_level: NoiseSplit
    by_position: Floats


def account(
    nats: ArrayLike,
    diffusion: ArrayLike,
    log_snr: ArrayLike,
    maps: ArrayLike,
    *,
    pixels: int,
    latent_shape: Sequence[int],
    is_bound: bool,
    bins: int = 20,
    resamples: int = 2000,
    seed: int = 0,
) -> RateAccount:
    """All that is reported about a rate.

    Args:
        nats: (n, k) rate estimates.
        diffusion: (n, k) their diffusion terms.
        log_snr: (n, k) the levels they were taken at.
        maps: (n, *latent space) nats per latent position, mean over the k times.
        pixels: H·W of the data, or T·H·W; channels not counted.
        latent_shape: (c, *latent space).
        is_bound: the prior's `is_bound`; nothing else decides the label.
        bins: of the split by noise level.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        ValueError: if shapes disagree, a value is not finite, or `pixels` is not positive.
    """
    nats, diffusion = np.asarray(nats, dtype=np.float64), np.asarray(diffusion, dtype=np.float64)
    log_snr, maps = np.asarray(log_snr, dtype=np.float64), np.asarray(maps, dtype=np.float64)
    if nats.ndim != 2 or not nats.size or diffusion.shape != nats.shape or log_snr.shape != nats.shape:
        raise ValueError(
            "nats, diffusion and log_snr must be (images, times), "
            f"got {nats.shape}, {diffusion.shape}, {log_snr.shape}"
        )
    if maps.shape != (nats.shape[0], *latent_shape[1:]):
        raise ValueError(
            f"maps must be (images, *latent space), got {maps.shape} for latents {tuple(latent_shape)}"
        )
    if pixels < 1:
        raise ValueError(f"pixels must be positive, got {pixels}")
    if not all(np.isfinite(a).all() for a in (nats, diffusion, log_snr, maps)):
        raise ValueError("rates hold values that are not finite")

    value = float(nats.mean())
    interval = bootstrap_interval(nats, resamples=resamples, seed=seed)

    def in_units_of(size: float) -> Estimate:
        scaled = None if interval is None else (interval[0] / size, interval[1] / size)
        return Estimate(value / size, scaled)

    bit = math.log(2.0)
    return RateAccount(
        label=label(is_bound),
        images=nats.shape[0],
        times=nats.shape[1],
        nats=in_units_of(1.0),
        bits_per_latent_dim=in_units_of(bit * math.prod(latent_shape)),
        bits_per_pixel=in_units_of(bit * pixels),
        bytes_per_image=in_units_of(bit * 8.0),
        bits_per_latent_frame=in_units_of(bit * (latent_shape[1] if len(latent_shape) > 1 else 1)),
        by_noise_level=split_by_noise_level(nats, diffusion, log_snr, bins=bins),
        by_position=maps.mean(axis=0) / bit,
    )


def label(is_bound: bool) -> Label:
    """The word for a rate: an objective that is not a bound gives a proxy, however good it looks."""
    return "upper bound" if is_bound else "proxy"


def bootstrap_interval(
    nats: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean of `nats` (n, k) over images; None if n < 2.

    Images are drawn with replacement and each keeps its own times. Drawing times again inside the drawn
    images would count the noise of the times twice: it is already in the spread between images.

    Source: Davison & Hinkley 1997, §3.8 (hierarchical data).
    """
    per_image = np.asarray(nats, dtype=np.float64).mean(axis=1)
    n = per_image.size
    if n < 2:
        return None
    rng = np.random.default_rng(seed)
    # One resample at a time: the full (resamples, n) table would need gigabytes at 50,000 images.
    means = np.array([per_image[rng.integers(0, n, n)].mean() for _ in range(resamples)])
    tail = 0.5 * (1.0 - level)
    low, high = np.quantile(means, (tail, 1.0 - tail))
    return float(low), float(high)


def split_by_noise_level(
    nats: ArrayLike, diffusion: ArrayLike, log_snr: ArrayLike, *, bins: int = 20
) -> NoiseSplit:
    """Where on the log-SNR axis the rate is spent; all arguments are (n, k).

    Since times are uniform, a bin's share is the mean over all samples of the diffusion term where the
    level falls into the bin. Bins are equally wide in log-SNR over the levels that occur.
    """
    diffusion = np.asarray(diffusion, dtype=np.float64).ravel()
    edges = np.histogram_bin_edges(np.asarray(log_snr, dtype=np.float64), bins)
    shares, _ = np.histogram(np.asarray(log_snr).ravel(), edges, weights=diffusion / diffusion.size)
    remainder = float(np.asarray(nats, dtype=np.float64).mean()) - float(diffusion.mean())
    return NoiseSplit(edges=edges, nats=shares, remainder=remainder)
