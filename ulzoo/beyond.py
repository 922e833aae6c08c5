"""Clips and images larger than a model was trained on, through its autoencoder: window by window.

Networks here are built for one grid. A larger example is covered by windows of that grid which overlap; what
two have in common is cut in the middle. The device holds one window at a time, whatever the example's size;
the example itself, bytes, and its latent stay in the machine's memory. The result is that of one call on all
of the example if every position depends on positions within half an overlap alone, as in a network of
convolutions without norms over space; otherwise there are seams.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ulzoo.autoencoder import Autoencoder
from ulzoo.diffusion.process import add_noise
from ulzoo.errors import RunError
from ulzoo.interfaces import AbstractDecoder, AbstractEncoder, AbstractSampler, Shape
from ulzoo.programs.program import to_images, to_model
from ulzoo.windows import Window, kept, places, windows


@dataclass(frozen=True)
class Grid:
    """What a model was built for.

    Attributes:
        data: (c, *space) of its examples.
        latent: (k, *small) of its latents.
    """

    data: Shape
    latent: Shape

    @property
    def factors(self) -> tuple[int, ...]:
        """How many positions of the data one of the latent stands for, by axis."""
        return tuple(fine // coarse for fine, coarse in zip(self.data[1:], self.latent[1:], strict=True))

    def overlaps(self, share: float) -> tuple[int, ...]:
        """Latent positions that are this share of a window, by axis: whole ones, and one at least where there
        are two, unless the share is 0."""
        least = [int(share > 0 and size > 1) for size in self.latent[1:]]
        found = [max(one, math.floor(share * size)) for one, size in zip(least, self.latent[1:], strict=True)]
        return tuple(found)

    def windows(self, extents: Sequence[int], overlaps: Sequence[int]) -> list[Window]:
        """Windows over a latent of these extents. Raises RunError: it is smaller than one."""
        return windows(extents, self.latent[1:], overlaps)


def check_plain(module: AbstractEncoder | AbstractDecoder) -> None:
    """Raises RunError for latents that are causal in time: their first frame stands for fewer frames than the
    others, so that no window but the first is one that the model was built for."""
    if getattr(module, "causal", False):
        raise RunError("latents that are causal in time are not taken in windows, only whole")


def encode_in_windows(
    autoencoder: Autoencoder, images: np.ndarray, grid: Grid, overlaps: Sequence[int]
) -> np.ndarray:
    """z_clean of one example of any size, float32 (k, *small).

    Args:
        images: uint8 (*space, c), each axis a multiple of its factor.
        overlaps: latent positions, by axis.

    Raises:
        RunError: an axis is shorter than the model's, or latents are causal in time.
    """
    check_plain(autoencoder.encoder)
    factors = grid.factors
    small = tuple(size // by for size, by in zip(images.shape[:-1], factors, strict=True))
    whole = np.empty((grid.latent[0], *small), np.float32)
    for window in grid.windows(small, overlaps):
        part = images[places(window, grid.latent[1:], factors)]
        there, within = kept(window, (1,) * len(factors))
        whole[(slice(None), *there)] = np.asarray(_encode(autoencoder, part))[(slice(None), *within)]
    return whole


def decode_in_windows(
    decoder: AbstractDecoder,
    z_0: np.ndarray,
    grid: Grid,
    overlaps: Sequence[int],
    sampler: AbstractSampler,
    *,
    key: PRNGKeyArray,
) -> np.ndarray:
    """The example behind a latent of any size, uint8 (*space, c).

    Args:
        z_0: (k, *small).
        overlaps: latent positions, by axis.
        key: of the noise of decoders that sample; each window has noise of its own.

    Raises:
        RunError: an axis is shorter than the model's, or latents are causal in time.
    """
    check_plain(decoder)
    factors = grid.factors
    space = tuple(size * by for size, by in zip(z_0.shape[1:], factors, strict=True))
    whole = np.empty((*space, grid.data[0]), np.uint8)
    for number, window in enumerate(grid.windows(z_0.shape[1:], overlaps)):
        part = z_0[(slice(None), *places(window, grid.latent[1:], (1,) * len(factors)))]
        there, within = kept(window, factors)
        whole[there] = np.asarray(_decode(decoder, part, sampler, jax.random.fold_in(key, number)))[within]
    return whole


def reconstruct_in_windows(
    autoencoder: Autoencoder,
    images: np.ndarray,
    grid: Grid,
    overlaps: Sequence[int],
    sampler: AbstractSampler,
    *,
    key: PRNGKeyArray,
) -> np.ndarray:
    """One example of any size through the latent, uint8 (*space, c); arguments and errors as above."""
    k_noise, k_decode = jax.random.split(key)
    z_clean = encode_in_windows(autoencoder, images, grid, overlaps)
    # A slice along the first axis at a time: the device is not to hold the whole latent either.
    for place in range(z_clean.shape[1]):
        z_clean[:, place] = _noisy(autoencoder.log_snr, z_clean[:, place], jax.random.fold_in(k_noise, place))
    return decode_in_windows(autoencoder.decoder, z_clean, grid, overlaps, sampler, key=k_decode)


@eqx.filter_jit
def _noisy(log_snr: float, z_clean: Array | np.ndarray, key: PRNGKeyArray) -> Array:
    return add_noise(jnp.asarray(z_clean), jax.random.normal(key, z_clean.shape), jnp.asarray(log_snr))


@eqx.filter_jit
def _encode(autoencoder: Autoencoder, image: Array | np.ndarray) -> Array:
    return autoencoder.encode(to_model(jnp.asarray(image)[None])[0])


@eqx.filter_jit
def _decode(
    decoder: AbstractDecoder, z_0: Array | np.ndarray, sampler: AbstractSampler, key: PRNGKeyArray
) -> Array:
    return to_images(decoder.decode(jnp.asarray(z_0), sampler, key=key)[None])[0]
