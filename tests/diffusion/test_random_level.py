"""Latents whose noise level is random: its distribution, and what the prior is charged, in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest, logistic

from ulzoo.autoencoder import Autoencoder
from ulzoo.components.priors.diffusion_prior import DiffusionPrior
from ulzoo.components.schedules.linear import Linear
from ulzoo.diffusion.random_level import RandomLevel
from ulzoo.interfaces import AbstractConditionedDecoder, AbstractDenoiser, AbstractEncoder, LossTerms

GREATEST = 5.0
LEVELS = [RandomLevel(2.0, 1.0, GREATEST), RandomLevel(5.0, 2.0, GREATEST), RandomLevel(-1.0, 0.5, GREATEST)]


def distribution(level):
    """P(ℓ ≤ λ), by SciPy."""
    whole = logistic.cdf(level.greatest, level.location, level.scale)
    return lambda at: np.minimum(logistic.cdf(at, level.location, level.scale) / whole, 1.0)


@pytest.mark.parametrize("level", LEVELS)
def test_levels_are_logistic_and_cut_off_at_the_least_noise(level):
    drawn = np.asarray(jax.vmap(level.draw)(jax.random.split(jax.random.key(0), 20_000)))
    assert np.isfinite(drawn).all()
    assert drawn.max() <= GREATEST + 1e-5  # float32
    # One seed, fixed: a right sampler fails one such test in a thousand.
    assert kstest(drawn, distribution(level)).pvalue > 1e-3


@pytest.mark.parametrize(
    "level",
    [RandomLevel(20.0, 0.1, GREATEST), RandomLevel(-20.0, 0.01, GREATEST), RandomLevel(0.0, 10.0, 1.0)],
)
def test_the_furthest_levels_are_numbers_too(level):
    """All that a spec may say: the distribution function alone would underflow."""
    drawn = np.asarray(jax.vmap(level.draw)(jax.random.split(jax.random.key(0), 1000)))
    assert -20 <= drawn.min() <= drawn.max() <= level.greatest
    above = np.asarray(level.above(jnp.linspace(-20, 20, 101)))
    assert ((above >= 0) & (above <= 1)).all()
    assert (np.diff(above) <= 1e-6).all()


@pytest.mark.parametrize("level", LEVELS)
def test_the_share_above_is_its_complement(level):
    at = np.linspace(-12, 8, 101)
    found = np.asarray(level.above(jnp.asarray(at, jnp.float32)))
    # Float32: 1 less a number near 1.
    np.testing.assert_allclose(found, 1 - distribution(level)(at), atol=1e-6)
    assert (found[at > GREATEST] == 0).all()


class Scaled(AbstractEncoder):
    """z = a x."""

    a: float = eqx.field(static=True)

    def __call__(self, x, *, key=None):
        return self.a * x


class Optimal(AbstractDenoiser):
    """E[z | z_t] for z ~ N(0, s²)."""

    s: float = eqx.field(static=True)

    def __call__(self, z_t, log_snr, condition, *, key=None):
        alpha2, sigma2 = jax.nn.sigmoid(log_snr), jax.nn.sigmoid(-log_snr)
        return z_t * jnp.sqrt(alpha2) * self.s**2 / (alpha2 * self.s**2 + sigma2)


class Listening(AbstractConditionedDecoder):
    """Its loss is the level that it is told, its squared error that of the latent against the data."""

    a: float = eqx.field(static=True)

    def distortion(self, x, z_0, t, *, key, inference=False, raw=None):
        log_snr = raw["latent_log_snr"]
        error = jnp.square(z_0 - jnp.sqrt(jax.nn.sigmoid(log_snr)) * self.a * x).mean()
        return LossTerms(loss=log_snr, squared_error=error, log_snr=log_snr)

    def decode(self, z_0, sampler, *, key, raw=None):
        return z_0


def autoencoder(level, s=0.7):
    prior = DiffusionPrior(
        network=Optimal(s),
        schedule=Linear(GREATEST, -10.0),
        prediction="x",
        stop_gradient=False,
        normal_kl=0.0,
        is_bound=True,
    )
    return Autoencoder(Scaled(s), prior, Listening(s), GREATEST, "random", level)


@pytest.mark.parametrize("level", LEVELS)
def test_the_rate_is_the_mean_mutual_information(level):
    """x ~ N(0, 1), z = s x: I(x; z_ℓ) = ½ ln(1 + s² e^ℓ), and the best prior is charged its mean over ℓ."""
    s, count = 0.7, 65_536
    low, high = level.location - 14 * level.scale, GREATEST
    mass = logistic.cdf(high, level.location, level.scale)
    truth, _ = quad(
        lambda at: 0.5 * np.log1p(s**2 * np.exp(at)) * logistic.pdf(at, level.location, level.scale) / mass,
        low,
        high,
    )

    @eqx.filter_jit
    def rates(model):
        x = jax.random.normal(jax.random.key(0), (count, 1, 1, 4))
        t = jax.random.uniform(jax.random.key(1), (count,))
        keys = jax.random.split(jax.random.key(2), count)
        charged = jax.vmap(lambda x, t, k: model.losses(x, t, t, key=k)[0].nats)(x, t, keys)
        return charged / 4, jax.vmap(lambda x, t, k: model.rate(x, t, key=k).nats)(x, t, keys) / 4

    charged, decoded = rates(autoencoder(level, s))
    # Levels below −10 are charged as if they were −10: less than 1e-4 nats of these three. What is measured
    # is the latent as it is decoded, at the least noise.
    for samples, expected in ((charged, truth), (decoded, 0.5 * np.log1p(s**2 * np.exp(GREATEST)))):
        found = np.asarray(samples, np.float64)
        error = found.std() / np.sqrt(count)
        assert error < 0.02 * max(expected, 1.0), "too few samples to say anything"
        assert abs(found.mean() - expected) < 3 * error + 1e-4


def test_the_decoder_is_told_the_level_of_its_latent():
    level = LEVELS[0]
    model = autoencoder(level)

    @jax.jit
    def losses(x, key):
        return model.losses(x, jnp.asarray(0.3), jnp.asarray(0.3), key=key)[1]

    x = jnp.linspace(-1, 1, 4096).reshape(1, 64, 64)
    terms = jax.vmap(losses, (None, 0))(x, jax.random.split(jax.random.key(3), 200))
    told = np.asarray(terms.loss)
    assert kstest(told, distribution(level)).pvalue > 1e-3
    # What is left of the latent is noise of that level: σ², measured on 4096 values, to four deviations.
    np.testing.assert_allclose(terms.squared_error, jax.nn.sigmoid(-told), rtol=4 * np.sqrt(2 / 4096))


def test_decoding_takes_the_least_noise():
    z = jnp.zeros((1, 64, 64))
    found = autoencoder(LEVELS[0]).add_noise(z, key=jax.random.key(0))
    assert float(jnp.square(found).mean()) == pytest.approx(1 / (1 + np.exp(GREATEST)), rel=0.1)
