"""From z_0 to data: one compiled program for samples and for reconstructions of equally large batches."""

from __future__ import annotations

from collections.abc import Mapping

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.autoencoder import Autoencoder
from ulzoo.interfaces import AbstractConditionedDecoder, AbstractSampler, RawConditions
from ulzoo.programs.program import to_images


def decode(
    autoencoder: Autoencoder,
    latents: Float[Array, "b k *latent"],
    keys: PRNGKeyArray,
    sampler: AbstractSampler,
    raw: Mapping[str, Array],
) -> Array:
    """A batch of z_0 → uint8 (b, *space, c).

    Args:
        keys: (b,), for samplers that draw.
        raw: conditions, leading axis b; of no account for decoders that are told none.
    """
    told = raw if isinstance(autoencoder.decoder, AbstractConditionedDecoder) else {}
    return _decode(autoencoder, latents, keys, sampler, told)


@eqx.filter_jit
def _decode(
    autoencoder: Autoencoder,
    latents: Array,
    keys: PRNGKeyArray,
    sampler: AbstractSampler,
    raw: Mapping[str, Array],
) -> Array:
    def one(z_0: Array, key: PRNGKeyArray, raw: RawConditions) -> Array:
        return autoencoder.decode(z_0, sampler, key=key, raw=raw)

    return to_images(jax.vmap(one)(latents, keys, raw))
