"""The rate of Gaussian latents under the optimal prior is known: ½ ln(1 + s² e^5) nats a dimension."""

import gaussian
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from shapes import SCHEDULES

from ulzoo.diffusion.process import add_noise
from ulzoo.diffusion.rate import diffusion_rate, learned_noise_term, normal_kl
from ulzoo.diffusion.schedules import negative_slope
from ulzoo.diffusion.times import stratified_times
from ulzoo.interfaces import ScheduleIO

RATES = {0.5: 1.820150, 1.0: 2.503358, 2.0: 3.193989}


def quadrature_rate(schedule, s):
    """E over t, z ~ N(0, s²) and ε of the package's rate, by Gauss quadrature in double precision."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    # Squared errors are quadratic in z and ε: two Gauss-Hermite nodes each are exact.
    normal, normal_weights = np.polynomial.hermite_e.hermegauss(2)
    normal_weights = normal_weights / normal_weights.sum()
    t = jnp.asarray(0.5 * (nodes + 1.0))[:, None, None]
    z = jnp.asarray(s * normal)[None, :, None]
    eps = jnp.asarray(normal)[None, None, :]
    log_snr, slope = schedule(t), negative_slope(schedule, t)
    z_t = add_noise(z, eps, log_snr)
    z_hat = gaussian.optimal_denoiser(np.asarray(z_t), np.asarray(log_snr), s)
    diffusion = np.asarray(diffusion_rate(z, jnp.asarray(z_hat), log_snr, slope))
    terminal = np.asarray(normal_kl(z[0, :, 0], jnp.asarray(schedule.log_snr_min)))
    return (
        np.einsum("tze,t,z,e", diffusion, 0.5 * weights, normal_weights, normal_weights)
        + terminal @ normal_weights
    )


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("s", RATES)
def test_rate_is_the_closed_form_whatever_the_schedules_shape(name, s):
    with jax.enable_x64(True):
        rate = quadrature_rate(SCHEDULES[name].build(ScheduleIO(5.0)), s)
    # Six printed digits of the reference.
    np.testing.assert_allclose(rate, RATES[s], atol=1e-6)
    # The terminal term stands for the information below λ = −10, up to the square of e^−10 s².
    expected = gaussian.mutual_information(s, -np.inf, 5.0)
    np.testing.assert_allclose(rate, expected, atol=2e-8)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_monte_carlo_with_stratified_times_is_within_three_standard_errors(name):
    schedule = SCHEDULES[name].build(ScheduleIO(5.0))
    batches, n = 256, 512

    def batch_mean(key, s):
        key_t, key_z, key_eps = jax.random.split(key, 3)
        t = stratified_times(key_t, n)
        z = s * jax.random.normal(key_z, (n,))
        log_snr, slope = schedule(t), negative_slope(schedule, t)
        z_t = add_noise(z, jax.random.normal(key_eps, (n,)), log_snr)
        z_hat = gaussian.optimal_denoiser(z_t, log_snr, s)
        return jnp.mean(diffusion_rate(z, z_hat, log_snr, slope) + normal_kl(z, jnp.float32(-10.0)))

    means = jax.jit(jax.vmap(jax.vmap(batch_mean, (0, None)), (None, 0)))(
        jax.random.split(jax.random.key(1), batches), jnp.asarray(list(RATES), jnp.float32)
    )
    assert means.dtype == jnp.float32
    for sample, expected in zip(np.asarray(means, np.float64), RATES.values(), strict=True):
        # Batches are independent, so their spread holds all the noise there is, stratification included.
        error = sample.std(ddof=1) / np.sqrt(batches)
        assert abs(sample.mean() - expected) < 3 * error
        # Loose enough a test would pass anything: the error itself must be small.
        assert error < 0.02


def test_normal_kl_is_the_textbook_divergence():
    z = np.linspace(-3.0, 3.0, 7)
    for log_snr in (-10.0, 0.0, 5.0):
        mean, variance = gaussian.sigmoid(log_snr) ** 0.5 * z, gaussian.sigmoid(-log_snr)
        expected = 0.5 * (mean**2 + variance - 1.0 - np.log(variance))
        found = normal_kl(jnp.asarray(z, jnp.float32), jnp.float32(log_snr))
        # float32 at values up to 5; near zero the terms themselves are small, not their differences.
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)


def test_learned_noise_term_completes_the_normal_rate():
    """E[normal_kl] over an encoder's own noise plus the term is the divergence of the wider posterior."""
    mean, log_variance, log_snr = 0.7, -2.0, 5.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    z = mean + np.exp(0.5 * log_variance) * nodes
    with jax.enable_x64(True):
        averaged = np.asarray(normal_kl(jnp.asarray(z), jnp.asarray(log_snr))) @ (weights / weights.sum())
        found = averaged + float(learned_noise_term(jnp.asarray(log_variance), jnp.asarray(log_snr)))
    alpha_squared = gaussian.sigmoid(log_snr)
    variance = alpha_squared * np.exp(log_variance) + gaussian.sigmoid(-log_snr)
    expected = 0.5 * (alpha_squared * mean**2 + variance - 1.0 - np.log(variance))
    # Double precision throughout.
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_deterministic_encoder_saves_nothing():
    assert learned_noise_term(jnp.float32(-200.0), jnp.float32(5.0)) == 0.0


def test_gradients_reach_the_encoder_through_target_and_prediction():
    log_snr, slope = jnp.float32(2.0), jnp.float32(15.0)

    def rate(z):
        return diffusion_rate(z, 0.5 * z, log_snr, slope)

    gradient = jax.grad(rate)(jnp.float32(0.8))
    # d/dz of ½ · 15 · e² · z²/4.
    np.testing.assert_allclose(gradient, 15.0 * np.exp(2.0) * 0.8 / 4.0, rtol=1e-6)
