import gaussian
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError
from shapes import SCHEDULES

from ulzoo.components.weightings.sigmoid import SigmoidConfig
from ulzoo.components.weightings.unweighted import UnweightedConfig
from ulzoo.diffusion.losses import denoising_loss, eps_loss, v_loss
from ulzoo.diffusion.process import add_noise, target, to_eps, to_v, to_x
from ulzoo.diffusion.schedules import negative_slope
from ulzoo.interfaces import ScheduleIO, WeightingIO

UNWEIGHTED = UnweightedConfig().build(WeightingIO())


def sigmoid_weight(loss_factor=1.5, bias=2.0):
    return SigmoidConfig(loss_factor=loss_factor, bias=bias).build(WeightingIO())


@jax.jit
def three_forms(x, eps, error, log_snr, slope, weighting):
    z_t = add_noise(x, eps, log_snr)
    v_hat = target("v", x, eps, log_snr) + error
    v = target("v", x, eps, log_snr)
    return (
        denoising_loss(x, to_x("v", v_hat, z_t, log_snr), log_snr, slope, weighting).loss,
        eps_loss(eps, to_eps("v", v_hat, z_t, log_snr), log_snr, slope, weighting),
        v_loss(v, to_v("v", v_hat, z_t, log_snr), log_snr, slope, weighting),
    )


def reference_loss(x, eps, error, log_snr, slope, loss_factor, bias):
    """Double precision, on the x error, with the x-space weight e^b sigmoid(λ − b)."""
    sigma = gaussian.sigmoid(-log_snr) ** 0.5
    x_error = sigma * error
    return 0.5 * slope * loss_factor * np.exp(bias) * gaussian.sigmoid(log_snr - bias) * np.sum(x_error**2)


@pytest.mark.parametrize("log_snr", [-10.0, -5.0, -1.0, 0.0, 2.0, 5.0, 10.0])
def test_losses_in_x_eps_and_v_are_equal(log_snr):
    rng = np.random.default_rng(3)
    x, eps = rng.normal(size=(2, 4, 8, 8))
    error = 0.5 * rng.normal(size=x.shape)
    expected = reference_loss(x, eps, error, log_snr, 15.0, 1.5, 2.0)
    single = [jnp.asarray(a, jnp.float32) for a in (x, eps, error, log_snr, 15.0)]
    forms = three_forms(*single, sigmoid_weight())
    assert all(form.dtype == jnp.float32 for form in forms)
    # float32: at |λ| = 10 the x or ε residual is 0.3 % of its terms; summing 256 of them evens rounding out.
    np.testing.assert_allclose(forms, expected, rtol=1e-5)


def test_losses_are_sums_not_means():
    x = jnp.ones((3, 4, 5))
    terms = denoising_loss(x, jnp.zeros_like(x), jnp.float32(0.0), jnp.float32(2.0), UNWEIGHTED)
    assert terms.squared_error == 60.0
    assert terms.loss == 60.0
    assert terms.log_snr == 0.0


def test_losses_are_single_precision_for_half_precision_networks():
    x = jnp.full((8,), 1.0 + 2.0**-7, jnp.bfloat16)
    terms = denoising_loss(x, jnp.ones_like(x), jnp.float32(0.0), jnp.float32(2.0), UNWEIGHTED)
    assert terms.loss.dtype == jnp.float32
    assert terms.loss == 8 * 2.0**-14


def test_extreme_levels_do_not_overflow():
    x = jnp.ones((8,))
    for log_snr in (-20.0, 20.0, 80.0):
        terms = denoising_loss(x, x * 1.001, jnp.float32(log_snr), jnp.float32(1.0), sigmoid_weight())
        assert jnp.isfinite(terms.loss)


def test_sigmoid_weight_discounts_low_noise_on_the_eps_error():
    weighting = sigmoid_weight(1.7, -1.0)
    log_snr = np.linspace(-12.0, 20.0, 65)
    found = jax.vmap(weighting)(jnp.asarray(log_snr, jnp.float32))
    # exp of a float32 of size 20 carries 20 units of rounding.
    np.testing.assert_allclose(found, 1.7 / (1.0 + np.exp(log_snr + 1.0)), rtol=3e-6)
    assert (jnp.diff(found) < 0).all()


def test_weight_limits():
    log_snr = jnp.linspace(-10.0, 5.0, 16)
    flat = jax.vmap(sigmoid_weight(1.5, 20.0))(log_snr)
    # The bias at +∞ is the unweighted loss times the factor; at 20 it is off by e^(5 − 20).
    np.testing.assert_allclose(flat, 1.5 * jax.vmap(UNWEIGHTED)(log_snr), rtol=5e-7)
    # Far above the bias the weight on the x error, e^λ w, is the constant c e^b: plain MSE in x.
    steep = jax.vmap(sigmoid_weight(1.5, -20.0))(log_snr) * jnp.exp(log_snr)
    np.testing.assert_allclose(steep, 1.5 * np.exp(-20.0), rtol=1e-4)
    half = sigmoid_weight(1.5, 2.0)(jnp.float32(2.0))
    np.testing.assert_allclose(half, 0.75, rtol=1e-6)


def test_loss_factor_and_bias_are_traced_leaves():
    weighting = sigmoid_weight(1.5, 2.0)
    leaves = jax.tree.leaves(weighting)
    assert [(leaf.dtype, leaf.shape) for leaf in leaves] == [(jnp.float32, ())] * 2
    assert jax.tree.leaves(UNWEIGHTED) == []
    traces = []

    @jax.jit
    def weigh(weighting, log_snr):
        traces.append(None)
        return weighting(log_snr)

    first, second = (weigh(sigmoid_weight(c, 2.0), jnp.float32(2.0)) for c in (1.0, 3.0))
    assert len(traces) == 1
    np.testing.assert_allclose([first, second], [0.5, 1.5], rtol=1e-6)


@pytest.mark.parametrize("fields", [{"loss_factor": 0.0, "bias": 0.0}, {"loss_factor": 1.5}])
def test_sigmoid_needs_a_positive_factor_and_a_bias(fields):
    with pytest.raises(ValidationError):
        SigmoidConfig(**fields)


def expected_loss(schedule, weighting, s):
    """E_t of the package's loss of one N(0, s²) number under the optimal denoiser, by quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    t = jnp.asarray(0.5 * (nodes + 1.0))
    log_snr = schedule(t)
    # The loss is a function of the squared error alone: give it the expected one.
    error = jnp.sqrt(jnp.asarray(gaussian.posterior_variance(np.asarray(log_snr), s)))
    loss = jax.vmap(
        lambda e, level, slope: denoising_loss(e, jnp.zeros_like(e), level, slope, weighting).loss
    )(error, log_snr, negative_slope(schedule, t))
    return float(np.asarray(loss) @ (0.5 * weights))


@pytest.mark.parametrize("name", SCHEDULES)
def test_expected_weighted_loss_depends_on_the_ends_alone(name):
    s, loss_factor, bias = 0.7, 1.5, 2.0
    log_snr, step = np.linspace(-10.0, 5.0, 20_001, retstep=True)
    integrand = 0.5 * np.exp(log_snr) * gaussian.posterior_variance(log_snr, s)
    integrand *= loss_factor * gaussian.sigmoid(bias - log_snr)
    expected = step * (integrand.sum() - 0.5 * (integrand[0] + integrand[-1]))
    with jax.enable_x64(True):
        found = expected_loss(SCHEDULES[name].build(ScheduleIO(5.0)), sigmoid_weight(loss_factor, bias), s)
    # The trapezoidal rule errs by step²/12 times the difference of end slopes: about 1e-9.
    np.testing.assert_allclose(found, expected, rtol=1e-7)
