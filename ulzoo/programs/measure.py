"""Measuring a trained autoencoder: rates at nested times; reconstructions. An image's noise is its own."""

from __future__ import annotations

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ulzoo.autoencoder import Autoencoder
from ulzoo.diffusion.times import stratified_times
from ulzoo.interfaces import AbstractSampler
from ulzoo.programs.decode import decode
from ulzoo.programs.program import to_model

Images = Array | np.ndarray


@eqx.filter_jit
def rates(
    autoencoder: Autoencoder, images: Images, keys: PRNGKeyArray, times: int
) -> tuple[Array, Array, Array, Array]:
    """Rates of a batch of images at `times` stratified times each.

    Args:
        images: uint8 (b, *space, c).
        keys: (b,): times and noise of an image come from its own key.

    Returns:
        nats (b, k), log_snr (b, k), the diffusion part of the nats (b, k), and nats by latent position
        (b, *latent space), mean over times.
    """

    def one(x: Array, key: PRNGKeyArray) -> tuple[Array, Array, Array, Array]:
        k_times, k_noise = jax.random.split(key)
        t = stratified_times(k_times, times)
        terms = jax.vmap(lambda t, k: autoencoder.rate(x, t, key=k))(t, jax.random.split(k_noise, times))
        position_axes = tuple(range(1, terms.map.ndim))
        return (
            terms.map.sum(position_axes),
            terms.log_snr,
            terms.diffusion.sum(position_axes),
            terms.map.mean(0),
        )

    return jax.vmap(one)(to_model(jnp.asarray(images)), keys)


def reconstruct(
    autoencoder: Autoencoder,
    images: Images,
    keys: PRNGKeyArray,
    sampler: AbstractSampler,
    raw: Mapping[str, Array | np.ndarray] | None = None,
) -> Array:
    """uint8 (b, *space, c) → the same images through the latent; an image's noise comes from its own key.

    Args:
        raw: conditions, leading axis b, for decoders that are told any; the images are not among them, so
            that no frame is given.
    """
    told = {name: jnp.asarray(value) for name, value in (raw or {}).items()}
    latents, k_decode = noisy_latents(autoencoder, images, keys)
    return decode(autoencoder, latents, k_decode, sampler, told)


@eqx.filter_jit
def noisy_latents(
    autoencoder: Autoencoder, images: Images, keys: PRNGKeyArray
) -> tuple[Float[Array, "b k *latent"], PRNGKeyArray]:
    """z_0 of a batch of images, and the keys (b,) that they are decoded with."""
    return jax.vmap(lambda x, key: autoencoder.noisy(x, key=key))(to_model(jnp.asarray(images)), keys)


def keys_for(seed: int, indices: Int[Array, "b"] | np.ndarray) -> PRNGKeyArray:
    """A key for each index: an image's numbers do not depend on its batch."""
    root = jax.random.key(seed)
    return jax.vmap(lambda index: jax.random.fold_in(root, index))(indices)
