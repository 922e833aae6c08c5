"""Sampling: noise → base model → z_0 at the latent's own level → decoder → data (Heek et al. 2026, §3.3)."""

from __future__ import annotations

from collections.abc import Mapping

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.autoencoder import Autoencoder
from ulzoo.diffusion.guidance import guided
from ulzoo.diffusion.sampling import levels
from ulzoo.interfaces import AbstractBase, AbstractSampler, RawConditions, Shape
from ulzoo.programs.decode import decode


def sample_latent(
    base: AbstractBase,
    raw: RawConditions,
    shape: Shape,
    sampler: AbstractSampler,
    *,
    key: PRNGKeyArray,
    guidance: float = 1.0,
    interval: tuple[float, float] | None = None,
    start: Float[Array, "c *space"] | None = None,
) -> Float[Array, "c *space"]:
    """One z_0: sampling stops at the latent's log-SNR, still noisy; that, not ẑ, is what the decoder takes.

    Args:
        raw: conditions of one example; empty for an unconditional model.
        guidance: scale of classifier-free guidance, within `interval` of log-SNR.
        start: standard normal noise to start from; by default drawn from `key`.
    """
    k_start, k_sampler = jax.random.split(key)
    start = jax.random.normal(k_start, shape) if start is None else start
    denoise = guided(
        lambda z, log_snr: base.denoise(z, log_snr, raw),
        lambda z, log_snr: base.denoise(z, log_snr, None),
        guidance,
        interval,
    )
    return sampler(denoise, start, levels(base.schedule, sampler.steps), key=k_sampler, clean=False)


def generate(
    autoencoder: Autoencoder,
    base: AbstractBase,
    raw: Mapping[str, Array],
    latent_shape: Shape,
    sampler: AbstractSampler,
    decoder_sampler: AbstractSampler,
    keys: PRNGKeyArray,
    guidance: float = 1.0,
    interval: tuple[float, float] | None = None,
    starts: Float[Array, "b c *space"] | None = None,
) -> Array:
    """A batch of samples, uint8 (b, *space, c). Each depends on its own key and condition alone.

    Args:
        raw: conditions, leading axis b.
        keys: (b,).
        starts: noise that the latents start from; by default drawn from the keys.
    """
    latents, k_decode = sample_latents(base, raw, latent_shape, sampler, keys, guidance, interval, starts)
    return decode(autoencoder, latents, k_decode, decoder_sampler, raw)


@eqx.filter_jit
def sample_latents(
    base: AbstractBase,
    raw: Mapping[str, Array],
    latent_shape: Shape,
    sampler: AbstractSampler,
    keys: PRNGKeyArray,
    guidance: float,
    interval: tuple[float, float] | None,
    starts: Float[Array, "b c *space"] | None,
) -> tuple[Float[Array, "b c *space"], PRNGKeyArray]:
    """A batch of z_0, and the keys (b,) that they are decoded with. Arguments as of `generate`."""

    def one(raw: RawConditions, key: PRNGKeyArray, start: Array | None) -> tuple[Array, PRNGKeyArray]:
        k_latent, k_decode = jax.random.split(key)
        z_0 = sample_latent(
            base, raw, latent_shape, sampler, key=k_latent, guidance=guidance, interval=interval, start=start
        )
        return z_0, k_decode

    return jax.vmap(one)(raw, keys, starts)
