"""The log-SNR of a latent whose noise is random, as a condition of the decoder."""

from __future__ import annotations

from typing import ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.components.layers.modulation import FREQUENCIES, waves
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import LATENT_LEVEL, AbstractConditioner, ConditionerIO, RawConditions
from ulzoo.spec import Component


class LatentLevel(AbstractConditioner):
    """Sines and cosines of the level; where none is told, as in decoding, it is the least noise."""

    log_snr: float = eqx.field(static=True)
    width: int = eqx.field(static=True)
    tells_level: ClassVar[bool] = True

    def __call__(self, raw: RawConditions, *, key: PRNGKeyArray | None = None) -> Float[Array, "d"]:
        return waves(raw[LATENT_LEVEL]) if LATENT_LEVEL in raw else self.null()

    def null(self) -> Float[Array, "d"]:
        return waves(jnp.asarray(self.log_snr))


class LatentLevelConfig(Component):
    """Tells the decoder at which log-SNR its latent is, of latents with random noise (`latent.noise:
    random`). Source: Heek et al. 2026, Appendix B."""

    type: Literal["ulzoo.latent_level.v1"] = "ulzoo.latent_level.v1"

    def build(self, io: ConditionerIO, *, key: PRNGKeyArray) -> LatentLevel:
        """Raises InterfaceError where the latent's level is always the same."""
        if io.random_log_snr is None:
            raise InterfaceError("there is no level to tell: it is for decoders of latents with random noise")
        return LatentLevel(log_snr=io.random_log_snr, width=2 * FREQUENCIES)
