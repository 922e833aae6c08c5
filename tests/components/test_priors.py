"""Priors against information theory: rates of Gaussians are known in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_networks import Constant, LinearEncoder, OptimalForGaussian
from scipy.integrate import quad
from scipy.stats import norm

from ulzoo.autoencoder import Autoencoder
from ulzoo.components.priors.diffusion_prior import DiffusionPrior, DiffusionPriorConfig
from ulzoo.components.priors.normal_prior import NormalPriorConfig
from ulzoo.components.schedules.linear import Linear
from ulzoo.interfaces import PriorIO

LOG_SNR, SHAPE = 5.0, (2, 3, 3)
COUNT = 32_768  # the spread over times makes up nearly all of a rate's spread
PRECISION = np.exp(LOG_SNR)  # α_0²/σ_0²


def diffusion_prior(network, *, stop_gradient=False, normal_kl=0.0):
    return DiffusionPrior(
        network=network,
        schedule=Linear(LOG_SNR, -10.0),
        prediction="x",
        stop_gradient=stop_gradient,
        normal_kl=normal_kl,
        is_bound=not stop_gradient,
    )


@eqx.filter_jit
def measured(prior, s):
    """`COUNT` one-sample rates of latents N(0, s²), nats per dimension."""
    k_z, k_t, k_rate = jax.random.split(jax.random.key(0), 3)
    z = s * jax.random.normal(k_z, (COUNT, *SHAPE))
    t = jax.random.uniform(k_t, (COUNT,))
    terms = jax.vmap(lambda z, t, k: prior.rate(z, t, key=k))(z, t, jax.random.split(k_rate, COUNT))
    return terms.map.sum((1, 2)) / np.prod(SHAPE)


def within_three_standard_errors(samples, truth):
    error = np.std(samples) / np.sqrt(len(samples))
    assert error < 0.02 * max(abs(truth), 1.0), "too few samples to say anything"
    assert abs(np.mean(samples) - truth) < 3 * error


@pytest.mark.parametrize("s", [0.5, 1.0, 2.0])
def test_rate_of_a_gaussian_is_its_mutual_information(s):
    prior = diffusion_prior(OptimalForGaussian(jnp.asarray(s)))
    # λ from 5 to −10 and the terminal KL leave less than 1e-7 nats of ½ ln(1 + s² e⁵) out.
    within_three_standard_errors(measured(prior, s), 0.5 * np.log1p(s**2 * PRECISION))


def test_a_wrong_prior_pays_more():
    prior = diffusion_prior(OptimalForGaussian(jnp.asarray(1.0)))
    assert np.mean(measured(prior, 2.0)) > 0.5 * np.log1p(4 * PRECISION) + 0.1


def test_the_gradient_flows_through_z_t_and_the_target():
    """For ẑ = g z_t the rate is known in z, and so is its derivative."""
    network = OptimalForGaussian(jnp.asarray(0.7))
    prior, t, key = diffusion_prior(network), jnp.asarray(0.3), jax.random.key(1)
    z = jnp.asarray(np.random.default_rng(0).standard_normal(SHAPE), jnp.float32)
    got = jax.grad(lambda z: prior.rate(z, t, key=key).nats)(z)

    log_snr = 5.0 - 15.0 * 0.3
    gain, alpha = float(network.gain(log_snr)), np.sqrt(1 / (1 + np.exp(-log_snr)))
    # The rate is ½ κ (z − g z_t)² + ½ α_1² z² + …: the map of one channel tells (z − g z_t).
    terms = prior.rate(z[:1], t, key=key)
    kappa = 15.0 * np.exp(log_snr)
    residual = np.sqrt(2 * np.asarray(terms.diffusion) / kappa)
    one = jax.grad(lambda z: prior.rate(z, t, key=key).nats)(z[:1])[0]
    terminal = np.asarray(z[0]) / (1 + np.exp(10.0))
    # Float32: relative rounding of a square root of a square.
    np.testing.assert_allclose(
        np.abs(one - terminal), kappa * residual * (1 - gain * alpha), rtol=1e-3, atol=1e-4
    )
    assert np.abs(got).min() > 0


def test_stop_gradient_hides_the_encoder_and_ends_the_bound():
    z, key = jnp.full(SHAPE, 0.3), jax.random.key(1)

    def nats(z, s, stop_gradient):
        prior = diffusion_prior(OptimalForGaussian(s), stop_gradient=stop_gradient)
        return prior.rate(z, jnp.asarray(0.2), key=key).nats

    for stop_gradient in (False, True):
        value, (by_z, by_s) = jax.value_and_grad(nats, (0, 1))(z, jnp.asarray(0.7), stop_gradient)
        assert bool(jnp.any(by_z != 0)) is not stop_gradient
        assert by_s != 0  # the prior itself still learns
        assert value == nats(z, jnp.asarray(0.7), not stop_gradient)


def test_who_decides_between_bound_and_proxy():
    io = PriorIO((2, 4, 4), LOG_SNR)
    network = {"type": "ulzoo.vit.v1", "width": 8, "depth": 1, "heads": 2}

    def is_bound(config):
        return eqx.filter_eval_shape(lambda key: config.build(io, key=key), jax.random.key(0)).is_bound

    assert is_bound(DiffusionPriorConfig(network=network))
    assert not is_bound(DiffusionPriorConfig(network=network, stop_gradient=True))
    assert is_bound(NormalPriorConfig())
    assert not is_bound(NormalPriorConfig(discount=0.5))


@pytest.mark.parametrize("z", [-1.5, 0.0, 0.4])
def test_normal_prior_is_the_kl_divergence(z):
    alpha, sigma = np.sqrt(1 / (1 + np.exp(-LOG_SNR))), np.sqrt(1 / (1 + np.exp(LOG_SNR)))
    posterior = norm(alpha * z, sigma)
    width = 12 * sigma
    expected, _ = quad(
        lambda v: posterior.pdf(v) * (posterior.logpdf(v) - norm.logpdf(v)),
        alpha * z - width,
        alpha * z + width,
    )
    prior = NormalPriorConfig().build(PriorIO(SHAPE, LOG_SNR), key=None)
    terms = prior.rate(jnp.full(SHAPE, z), jnp.asarray(0.5), key=jax.random.key(0))
    assert terms.map.shape == SHAPE[1:]
    # Float32 sum of 18 equal numbers.
    assert float(terms.nats) == pytest.approx(18 * expected, rel=1e-5)
    assert terms.penalty == 0


def test_a_discount_changes_the_objective_and_not_the_rate():
    io, z = PriorIO(SHAPE, LOG_SNR), jnp.full(SHAPE, 0.4)
    full, half = (
        NormalPriorConfig(discount=d).build(io, key=None).rate(z, jnp.asarray(0.5), key=jax.random.key(0))
        for d in (1.0, 0.25)
    )
    assert full.nats == half.nats
    # Float32 rounding of one product.
    assert float(half.nats + half.penalty) == pytest.approx(0.25 * float(full.nats), rel=1e-6)


# ---- learned noise (ablation D) -----------------------------------------------------------------

A, LOG_VARIANCE = 0.8, -3.0
VARIANCE = np.exp(LOG_VARIANCE)


@eqx.filter_jit
def rates(autoencoder, x):
    """Rates of each x at a random time, nats per dimension."""
    k_t, k_rate = jax.random.split(jax.random.key(2))
    t = jax.random.uniform(k_t, (len(x),))
    terms = jax.vmap(lambda x, t, k: autoencoder.rate(x, t, key=k))(x, t, jax.random.split(k_rate, len(x)))
    return terms.map.sum((1, 2)) / np.prod(SHAPE)


def learned(prior):
    # Encoders give the log-variance relative to the fixed noise's.
    encoder = LinearEncoder(jnp.asarray(A), jnp.asarray(LOG_VARIANCE + LOG_SNR))
    return Autoencoder(encoder, prior, None, LOG_SNR, "learned")


def test_the_rate_of_learned_noise_is_the_kl_of_the_whole_posterior():
    """z ~ N(m, σ_z²): E KL[N(α z, σ²) ‖ N] − ½ ln(1 + σ_z² e^λ) = KL[N(α m, α² σ_z² + σ²) ‖ N]."""
    x = jnp.full((COUNT, *SHAPE), 0.9)
    prior = NormalPriorConfig().build(PriorIO(SHAPE, LOG_SNR), key=None)
    alpha2, sigma2 = 1 / (1 + np.exp(-LOG_SNR)), 1 / (1 + np.exp(LOG_SNR))
    mean2, variance = alpha2 * (A * 0.9) ** 2, alpha2 * VARIANCE + sigma2
    within_three_standard_errors(rates(learned(prior), x), 0.5 * (mean2 + variance - 1 - np.log(variance)))


def test_learned_noise_never_reports_less_than_the_mutual_information():
    """x ~ N(0, 1), z ~ N(a x, σ_z²): I(x; z_0) = ½ ln(1 + a² e^λ/(1 + σ_z² e^λ)), met by the best prior."""
    x = jax.random.normal(jax.random.key(3), (COUNT, *SHAPE))
    truth = 0.5 * np.log1p(A**2 * PRECISION / (1 + VARIANCE * PRECISION))
    best = np.sqrt(A**2 + VARIANCE)
    within_three_standard_errors(
        rates(learned(diffusion_prior(OptimalForGaussian(jnp.asarray(best)))), x), truth
    )
    for s in (0.5 * best, 2 * best):
        samples = rates(learned(diffusion_prior(OptimalForGaussian(jnp.asarray(s)))), x)
        assert np.mean(samples) > truth + 3 * np.std(samples) / np.sqrt(len(samples))


def test_vanishing_learned_noise_is_fixed_noise():
    prior = diffusion_prior(Constant(jnp.asarray(0.1)))
    x, t, key = jnp.ones(SHAPE), jnp.asarray(0.4), jax.random.key(0)
    fixed = Autoencoder(LinearEncoder(jnp.asarray(A)), prior, None, LOG_SNR).rate(x, t, key=key)
    silent = Autoencoder(LinearEncoder(jnp.asarray(A), jnp.asarray(-80.0)), prior, None, LOG_SNR, "learned")
    # Noise of e^−40 is below float32's resolution of the mean.
    np.testing.assert_array_equal(fixed.map, silent.rate(x, t, key=key).map)


def test_learned_noise_starts_at_the_fixed_noise():
    """A fresh encoder's outputs are near 0: the variance is then e^(−λ), as that of fixed noise at high λ."""
    fresh = Autoencoder(LinearEncoder(jnp.asarray(A), jnp.asarray(0.0)), None, None, LOG_SNR, "learned")
    _, log_variance = fresh.moments(jnp.ones(SHAPE))
    np.testing.assert_array_equal(log_variance, np.full(SHAPE, -LOG_SNR, np.float32))


def test_the_normal_kl_beside_the_rate_reaches_the_encoder_behind_a_stopped_gradient():
    z = jax.random.normal(jax.random.key(3), SHAPE)

    def parts(z, weight):
        prior = diffusion_prior(OptimalForGaussian(jnp.asarray(1.0)), stop_gradient=True, normal_kl=weight)
        terms = prior.rate(z, jnp.asarray(0.4), key=jax.random.key(1))
        return terms.penalty, terms.nats

    penalty, nats = parts(z, 0.25)
    alpha_squared = PRECISION / (1 + PRECISION)
    variance = 1 - alpha_squared
    kl = 0.5 * (alpha_squared * np.square(z) + variance - 1 - np.log(variance)).sum()
    # float32 sums of 18 terms of order 10
    np.testing.assert_allclose(penalty, 0.25 * kl, rtol=1e-5)
    assert nats == parts(z, 0.0)[1]
    gradient = jax.grad(lambda z: parts(z, 0.25)[0])(z)
    np.testing.assert_allclose(gradient, 0.25 * alpha_squared * z, rtol=1e-5)
