import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ulzoo.diffusion import process
from ulzoo.diffusion.process import add_noise, alpha_sigma, from_x, full_precision, target, to_eps, to_v, to_x

LEVELS = np.array([-20.0, -10.0, -3.0, 0.0, 3.0, 5.0, 10.0, 20.0])
KINDS = ("x", "eps", "v")


def reference_scales(log_snr):
    """α and σ in float64 from their definition."""
    return np.sqrt(1.0 / (1.0 + np.exp(-log_snr))), np.sqrt(1.0 / (1.0 + np.exp(log_snr)))


def example(seed=0, n=64):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n), rng.normal(size=n)


def test_scales_are_square_roots_at_the_papers_latent_level():
    alpha, sigma = alpha_sigma(jnp.float32(5.0))
    # Five printed digits of the reference values.
    np.testing.assert_allclose([alpha, sigma], [0.99665, 0.08181], atol=5e-6)


def test_scales_keep_relative_precision_at_both_extremes():
    alpha, sigma = alpha_sigma(jnp.asarray(LEVELS, jnp.float32))
    reference_alpha, reference_sigma = reference_scales(LEVELS)
    # exp of a float32 of size 10 carries 10 units of rounding.
    np.testing.assert_allclose(alpha, reference_alpha, rtol=2e-6)
    np.testing.assert_allclose(sigma, reference_sigma, rtol=2e-6)


@pytest.mark.parametrize("log_snr", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_conversions_agree_with_the_definitions_in_double_precision(kind, log_snr):
    x, eps = example()
    alpha, sigma = reference_scales(log_snr)
    with jax.enable_x64(True):
        level = jnp.asarray(log_snr)
        z_t = add_noise(jnp.asarray(x), jnp.asarray(eps), level)
        output = target(kind, jnp.asarray(x), jnp.asarray(eps), level)
        found = [f(kind, output, z_t, level) for f in (to_x, to_eps, to_v)]
        back = from_x(kind, jnp.asarray(x), z_t, level)
    np.testing.assert_allclose(z_t, alpha * x + sigma * eps, rtol=1e-12, atol=1e-14)
    # Division by α or σ = 4.5e-5 at |λ| = 20 costs five digits of sixteen.
    for value, expected in zip(found, (x, eps, alpha * eps - sigma * x), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back, output, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("convert", [to_x, to_eps, to_v, from_x])
def test_conversions_and_their_gradients_are_finite_in_single_precision(kind, convert):
    x, eps = (jnp.asarray(a, jnp.float32) for a in example())

    def total(output, level):
        return convert(kind, output, add_noise(x, eps, level), level).sum()

    for level in jnp.asarray(LEVELS, jnp.float32):
        output = target(kind, x, eps, level)
        value, gradients = jax.value_and_grad(total, argnums=(0, 1))(output, level)
        assert jnp.isfinite(value)
        assert all(jnp.isfinite(g).all() for g in gradients)


def test_low_precision_outputs_are_widened():
    x, eps = (jnp.asarray(a, jnp.bfloat16) for a in example())
    level = jnp.float32(1.0)
    assert add_noise(x, eps, level).dtype == jnp.float32
    assert to_x("v", eps, x, level).dtype == jnp.float32
    assert full_precision(jnp.arange(3, dtype=jnp.uint8)).dtype == jnp.float32


def test_a_level_for_each_example_broadcasts():
    x, eps = (jnp.asarray(a, jnp.float32).reshape(4, 16) for a in example())
    each = jnp.asarray([-3.0, 0.0, 1.0, 5.0])
    together = process.to_v("x", x, add_noise(x, eps, each[:, None]), each[:, None])
    apart = jax.vmap(lambda a, b, c: process.to_v("x", a, add_noise(a, b, c), c))(x, eps, each)
    # Same operations on the same numbers; fusion may round differently.
    np.testing.assert_allclose(together, apart, rtol=1e-5, atol=1e-5)
