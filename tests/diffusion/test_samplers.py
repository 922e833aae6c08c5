"""Samplers against the exact probability flow and the exact marginals of Gaussian data."""

from itertools import pairwise

import gaussian
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from shapes import SCHEDULES

from ulzoo.components.samplers.ancestral import AncestralConfig
from ulzoo.components.samplers.ddim import DDIMConfig
from ulzoo.components.samplers.dpmpp_2m import DPMpp2MConfig
from ulzoo.components.samplers.heun import HeunConfig
from ulzoo.diffusion.sampling import levels
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import SamplerIO, ScheduleIO

FLOWS = {"ddim": DDIMConfig, "dpmpp_2m": DPMpp2MConfig, "heun": HeunConfig}
ALL = {**FLOWS, "ancestral": AncestralConfig}
KEY = jax.random.key(0)


def grid(steps, name="linear"):
    return np.asarray(levels(SCHEDULES[name].build(ScheduleIO(5.0)), steps))


def denoise_gaussian(z, log_snr):
    """A denoiser for N(0.2, 0.6²)."""
    return gaussian.optimal_denoiser(z, log_snr, 0.6, 0.2)


def run(config, denoise, z, log_snrs, *, key=KEY, clean=False):
    sampler = config(steps=len(log_snrs) - 1).build(SamplerIO())
    return sampler(denoise, z, jnp.asarray(log_snrs, z.dtype), key=key, clean=clean)


@pytest.mark.parametrize(
    ("name", "order", "shape"),
    [
        ("ddim", 1, "linear"),
        ("dpmpp_2m", 2, "linear"),
        ("dpmpp_2m", 2, "cosine"),
        ("heun", 2, "linear"),
        ("heun", 2, "cosine"),
    ],
)
def test_flow_converges_with_its_order_to_the_exact_solution(name, order, shape):
    s, mean = 0.6, 0.4
    start = np.linspace(-2.0, 2.0, 9)
    errors = []
    with jax.enable_x64(True):
        for steps in (64, 128, 256):
            log_snrs = grid(steps, shape).astype(np.float64)
            end = run(
                FLOWS[name],
                lambda z, level: gaussian.optimal_denoiser(z, level, s, mean),
                jnp.asarray(start),
                log_snrs,
            )
            exact = gaussian.flow(start, log_snrs[0], log_snrs[-1], s, mean)
            errors.append(np.abs(np.asarray(end) - exact).max())
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    # The next term of the error's expansion is a few steps' worth of the first: 0.25 of an order at 64.
    np.testing.assert_allclose(orders, order, atol=0.25)
    assert errors[-1] < {1: 2e-2, 2: 1e-3}[order]


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("steps", [1, 5])
def test_known_data_is_reached_exactly_in_any_number_of_steps(name, steps):
    """With x̂ constant the flow is linear in z and every flow sampler is exact."""
    log_snrs = grid(steps)
    z = jnp.linspace(-2.0, 2.0, 5)
    end = run(FLOWS[name], lambda z, level: jnp.full_like(z, 0.3), z, log_snrs)
    # A point is a Gaussian of no width. float32, numbers of size 1.
    np.testing.assert_allclose(end, gaussian.flow(np.asarray(z), -10.0, 5.0, 0.0, 0.3), atol=2e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("clean", [False, True])
def test_evaluations_and_what_is_returned(name, clean):
    """The documented levels are evaluated, and `clean` returns the last x̂ itself."""
    log_snrs = grid(4)
    seen = []

    def denoise(z, level):
        seen.append(float(level))
        return jnp.full_like(z, float(level))

    with jax.disable_jit():
        end = run(ALL[name], denoise, jnp.zeros((2, 3)), log_snrs, clean=clean)
    if name == "heun":
        expected = [level for pair in pairwise(log_snrs) for level in pair]
    else:
        expected = list(log_snrs[:-1])
    assert seen == expected
    if clean:
        np.testing.assert_array_equal(end, np.full((2, 3), expected[-1], np.float32))


@pytest.mark.parametrize("name", ["ddim", "dpmpp_2m"])
def test_clean_is_the_prediction_before_the_last_level(name):
    log_snrs = grid(6)
    z = jnp.linspace(-1.0, 1.0, 5)
    clean = run(FLOWS[name], denoise_gaussian, z, log_snrs, clean=True)
    before = run(FLOWS[name], denoise_gaussian, z, log_snrs[:-1])
    # The same arithmetic; fusion may round differently.
    np.testing.assert_allclose(clean, denoise_gaussian(before, jnp.float32(log_snrs[-2])), atol=1e-6)


def karras_heun(z, log_snrs):
    """Algorithm 1 of Karras et al. in its own variables z/α and σ/α, and its last prediction."""
    alphas = gaussian.sigmoid(log_snrs) ** 0.5
    sigmas = np.exp(-0.5 * log_snrs)
    y = z / alphas[0]
    for i in range(len(log_snrs) - 1):
        slope = (y - denoise_gaussian(alphas[i] * y, log_snrs[i])) / sigmas[i]
        guess = y + (sigmas[i + 1] - sigmas[i]) * slope
        x_hat = denoise_gaussian(alphas[i + 1] * guess, log_snrs[i + 1])
        next_slope = (guess - x_hat) / sigmas[i + 1]
        y = y + (sigmas[i + 1] - sigmas[i]) * 0.5 * (slope + next_slope)
    return alphas[-1] * y, x_hat


@pytest.mark.parametrize("clean", [False, True])
def test_heun_is_the_published_algorithm(clean):
    log_snrs = grid(6).astype(np.float64)
    z = np.linspace(-1.0, 1.0, 5)
    with jax.enable_x64(True):
        found = np.asarray(run(HeunConfig, denoise_gaussian, jnp.asarray(z), log_snrs, clean=clean))
    # Double precision; the published form itself loses three digits where σ/α is 148.
    np.testing.assert_allclose(found, karras_heun(z, log_snrs)[clean], atol=1e-11)


def test_ancestral_interpolates_the_logarithm_of_the_variance():
    z, log_snrs = jnp.zeros((16,)), jnp.asarray([-1.0, 2.0])
    lower, between, upper = (
        AncestralConfig(steps=1, interpolation=gamma).build(SamplerIO())(
            lambda z, level: jnp.zeros_like(z), z, log_snrs, key=KEY, clean=False
        )
        for gamma in (0.0, 0.3, 1.0)
    )
    # With mean 0 and one key the steps differ by their scale alone: σ_t against σ_s. float32.
    ratio = np.sqrt(gaussian.sigmoid(1.0) / gaussian.sigmoid(-2.0))
    np.testing.assert_allclose(upper / lower, ratio, rtol=1e-5)
    np.testing.assert_allclose(between / lower, ratio**0.3, rtol=1e-5)


def test_ancestral_with_the_upper_variance_keeps_unit_gaussian_data_exact():
    n = 100_000
    z = jax.random.normal(jax.random.key(1), (n,))
    sampler = AncestralConfig(steps=3, interpolation=1.0).build(SamplerIO())
    end = sampler(
        lambda z, level: gaussian.optimal_denoiser(z, level, 1.0),
        z,
        jnp.asarray(grid(3)),
        key=KEY,
        clean=False,
    )
    # Four standard errors of a mean and of a variance of n normal numbers.
    np.testing.assert_allclose(end.mean(), 0.0, atol=4 / np.sqrt(n))
    np.testing.assert_allclose(end.var(), 1.0, atol=4 * np.sqrt(2 / n))


def test_ancestral_with_the_lower_variance_keeps_known_data_exact():
    n, x = 100_000, 0.7
    log_snrs = grid(3)
    alpha, sigma = gaussian.sigmoid(-10.0) ** 0.5, gaussian.sigmoid(10.0) ** 0.5
    z = alpha * x + sigma * jax.random.normal(jax.random.key(1), (n,))
    sampler = AncestralConfig(steps=3, interpolation=0.0).build(SamplerIO())
    end = sampler(lambda z, level: jnp.full_like(z, x), z, jnp.asarray(log_snrs), key=KEY, clean=False)
    mean, variance = gaussian.sigmoid(5.0) ** 0.5 * x, gaussian.sigmoid(-5.0)
    # Four standard errors.
    np.testing.assert_allclose(end.mean(), mean, atol=4 * np.sqrt(variance / n))
    np.testing.assert_allclose(end.var(), variance, rtol=4 * np.sqrt(2 / n))


def test_ancestral_reaches_the_marginal_with_many_steps():
    n, s = 10_000, 0.5
    z = jax.random.normal(jax.random.key(1), (n,))
    end = run(AncestralConfig, lambda z, level: gaussian.optimal_denoiser(z, level, s), z, grid(200))
    variance = gaussian.sigmoid(5.0) * s**2 + gaussian.sigmoid(-5.0)
    # Four standard errors (6 %) and a discretisation error of the order of one step in λ, 15/200.
    np.testing.assert_allclose(end.var(), variance, rtol=4 * np.sqrt(2 / n) + 0.075)


def test_ancestral_noise_follows_the_key_alone():
    z, log_snrs = jnp.zeros((3,)), grid(3)
    first, again, other = (
        run(AncestralConfig, lambda z, level: 0.5 * z, z, log_snrs, key=jax.random.key(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


@pytest.mark.parametrize("name", ALL)
def test_any_shape_and_half_precision_networks(name):
    """Scans carry one dtype whatever the network returns; a latent and a clip are sampled alike."""
    for shape in ((), (2, 3), (1, 2, 2, 2, 2)):
        end = run(ALL[name], lambda z, level: (0.5 * z).astype(jnp.bfloat16), jnp.ones(shape), grid(3))
        assert end.shape == shape
        assert end.dtype == jnp.float32
        assert jnp.isfinite(end).all()


@pytest.mark.parametrize("name", FLOWS)
def test_a_batch_is_its_examples(name):
    z = jax.random.normal(KEY, (4, 3))

    def denoise(z, level):
        return jnp.tanh(z * (1.0 + gaussian.sigmoid(level)))

    together = run(FLOWS[name], denoise, z, grid(5))
    apart = jax.vmap(lambda one: run(FLOWS[name], denoise, one, grid(5)))(z)
    # The same arithmetic; fusion may round differently.
    np.testing.assert_allclose(together, apart, atol=1e-5)


def test_levels_must_match_the_samplers_steps():
    sampler = DDIMConfig(steps=4).build(SamplerIO())
    with pytest.raises(InterfaceError, match="4 steps need 5 levels, got shape \\(4,\\)"):
        sampler(lambda z, level: z, jnp.zeros(2), jnp.asarray(grid(3)), key=KEY, clean=False)
