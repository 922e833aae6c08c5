"""Stage 1's three modules and the noise between them: encoder → z_clean → z_0 → prior and decoder."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.diffusion.process import add_noise
from ulzoo.diffusion.random_level import RandomLevel
from ulzoo.diffusion.rate import learned_noise_term
from ulzoo.interfaces import (
    LATENT_LEVEL,
    AbstractConditionedDecoder,
    AbstractDecoder,
    AbstractEncoder,
    AbstractPrior,
    AbstractSampler,
    LossTerms,
    RateTerms,
    RawConditions,
    Scalar,
)
from ulzoo.parallel.precision import compute_dtype

Noise = Literal["fixed", "learned", "random"]


class Autoencoder(eqx.Module):
    """Encoder, prior and decoder around one minimum noise.

    Attributes:
        log_snr: λ_z(0), the log-SNR of z_0; the encoder's noise and the prior's least noise are this number.
        noise: "fixed": z_0 = α_0 z_clean + σ_0 ε with z_clean = E(x). "learned" (ablation D): the encoder
            also gives a variance σ_z², and z_clean is drawn from it before the same noise is added.
            "random" (Appendix B): each example's z_0 has a level of its own in training, which the decoder
            is told; decoding takes the least noise.
        level: of random noise.

    Source: Heek et al. 2026, §3, Algorithm 1.
    """

    encoder: AbstractEncoder
    prior: AbstractPrior
    decoder: AbstractDecoder
    log_snr: float = eqx.field(static=True)
    noise: Noise = eqx.field(static=True, default="fixed")
    level: RandomLevel | None = eqx.field(static=True, default=None)

    @property
    def is_bound(self) -> bool:
        """Whether the objective's rate is an upper bound on the latent's information ("proxy" otherwise)."""
        return self.prior.is_bound

    def moments(
        self, x: Float[Array, "c *space"], *, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "k *latent"], Float[Array, "k *latent"] | None]:
        """z_clean (its mean, for learned noise) and the log-variance, in float32. `key`: dropout on."""
        output = self.encoder(x.astype(compute_dtype(self.encoder)), key=key).astype(jnp.float32)
        if self.noise != "learned":
            return output, None
        mean, log_variance = jnp.split(output, 2)
        # Relative to the fixed noise, about e^(−λ): a fresh encoder, whose outputs are near 0, then starts
        # at that level and not at a variance of 1, from which a latent easily collapses.
        return mean, log_variance - self.log_snr

    def encode(self, x: Float[Array, "c *space"]) -> Float[Array, "k *latent"]:
        """z_clean, without noise and without dropout: what stage 2 learns to generate."""
        return self.moments(x)[0]

    def add_noise(
        self, z_clean: Float[Array, "k *latent"], *, key: PRNGKeyArray, log_snr: Scalar | None = None
    ) -> Float[Array, "k *latent"]:
        """z_0 = α_0 z_clean + σ_0 ε: what the decoder sees. `log_snr`: by default the least noise."""
        log_snr = jnp.asarray(self.log_snr) if log_snr is None else log_snr
        return add_noise(z_clean, jax.random.normal(key, z_clean.shape), log_snr)

    def losses(
        self,
        x: Float[Array, "c *space"],
        t_latent: Scalar,
        t_data: Scalar,
        *,
        key: PRNGKeyArray,
        inference: bool = False,
        raw: RawConditions | None = None,
    ) -> tuple[RateTerms, LossTerms]:
        """Rate and distortion of one example at one time each, in nats (Algorithm 1, lines 2–9).

        Args:
            raw: conditions, for decoders that are told any.
        """
        k_encoder, k_latent, k_noise, k_rate, k_distortion = jax.random.split(key, 5)
        z_clean, posterior = self.sample_clean(x, k_encoder, k_latent, inference=inference)
        rate = self.prior.rate(z_clean, t_latent, key=k_rate, inference=inference)
        if self.level is not None:
            # The mean over levels: the prior need say nothing of what is finer than z_0.
            seen = self.level.above(rate.log_snr)
            rate = eqx.tree_at(lambda terms: terms.diffusion, rate, seen * rate.diffusion)
        rate = eqx.tree_at(lambda terms: terms.posterior, rate, rate.posterior + posterior)
        level = None if self.level is None else self.level.draw(jax.random.fold_in(k_noise, 1))
        z_0 = self.add_noise(z_clean, key=k_noise, log_snr=level)
        told = self._told(raw if level is None else {**(raw or {}), LATENT_LEVEL: level})
        return rate, self.decoder.distortion(x, z_0, t_data, key=k_distortion, inference=inference, **told)

    def rate(self, x: Float[Array, "c *space"], t: Scalar, *, key: PRNGKeyArray) -> RateTerms:
        """The rate alone, without dropout: for measuring. Of random noise that of the least noise, as it is
        decoded; training is charged the mean over levels, which is less."""
        k_encoder, k_latent, k_rate = jax.random.split(key, 3)
        z_clean, posterior = self.sample_clean(x, k_encoder, k_latent, inference=True)
        rate = self.prior.rate(z_clean, t, key=k_rate, inference=True)
        return eqx.tree_at(lambda terms: terms.posterior, rate, rate.posterior + posterior)

    def sample_clean(
        self, x: Float[Array, "c *space"], k_encoder: PRNGKeyArray, k_latent: PRNGKeyArray, *, inference: bool
    ) -> tuple[Float[Array, "k *latent"], Float[Array, "*latent"]]:
        """z_clean and the learned noise's part of the rate by position (zero for fixed noise)."""
        return self._drawn(*self.moments(x, key=None if inference else k_encoder), k_latent)

    def sample_stored(
        self, stored: Float[Array, "m *latent"], k_latent: PRNGKeyArray
    ) -> Float[Array, "k *latent"]:
        """z_clean as `sample_clean` gives it, from the encoder's output, which was computed before.

        Args:
            stored: z_clean; for learned noise mean and log-variance, one after the other.
        """
        if self.noise != "learned":
            return stored
        mean, log_variance = jnp.split(stored, 2)
        return self._drawn(mean, log_variance, k_latent)[0]

    def _drawn(self, mean: Array, log_variance: Array | None, k_latent: PRNGKeyArray) -> tuple[Array, Array]:
        if log_variance is None:
            return mean, jnp.zeros(mean.shape[1:])
        noise = jnp.exp(0.5 * log_variance) * jax.random.normal(k_latent, mean.shape)
        # With σ_z² = 0 the term is 0 less than nothing: softplus(−∞) = 0, and fixed noise is recovered.
        return mean + noise, learned_noise_term(log_variance, jnp.asarray(self.log_snr)).sum(0)

    def reconstruct(
        self,
        x: Float[Array, "c *space"],
        sampler: AbstractSampler,
        *,
        key: PRNGKeyArray,
        raw: RawConditions | None = None,
    ) -> Float[Array, "c *space"]:
        """x → z_clean → z_0 → x̂. `raw` as for `decode`."""
        z_0, k_decode = self.noisy(x, key=key)
        return self.decode(z_0, sampler, key=k_decode, raw=raw)

    def noisy(
        self, x: Float[Array, "c *space"], *, key: PRNGKeyArray
    ) -> tuple[Float[Array, "k *latent"], PRNGKeyArray]:
        """x → z_clean → z_0, without dropout, and the key that it is decoded with."""
        k_latent, k_noise, k_decode = jax.random.split(key, 3)
        z_clean, _ = self.sample_clean(x, k_latent, k_latent, inference=True)
        return self.add_noise(z_clean, key=k_noise), k_decode

    def decode(
        self,
        z_0: Float[Array, "k *latent"],
        sampler: AbstractSampler,
        *,
        key: PRNGKeyArray,
        raw: RawConditions | None = None,
    ) -> Float[Array, "c *space"]:
        """x̂ from z_0; `raw`: conditions, for decoders that are told any."""
        return self.decoder.decode(z_0, sampler, key=key, **self._told(raw))

    def _told(self, raw: RawConditions | None) -> dict[str, Any]:
        return {"raw": raw} if isinstance(self.decoder, AbstractConditionedDecoder) else {}
