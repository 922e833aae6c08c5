import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ulzoo.components.samplers.ddim import DDIMConfig
from ulzoo.diffusion.guidance import guided
from ulzoo.diffusion.process import from_x
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import SamplerIO

Z = jnp.linspace(-1.0, 1.0, 5)


def conditional(z_t, log_snr):
    return jnp.tanh(z_t) + 0.1 * log_snr


def unconditional(z_t, log_snr):
    return 0.5 * z_t


def test_scale_one_is_the_conditional_model_itself():
    assert guided(conditional, unconditional, 1.0, (-3.0, 3.0)) is conditional


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_mixture_is_the_same_in_x_and_in_eps(scale):
    log_snr = jnp.float32(0.5)
    found = guided(conditional, unconditional, scale)(Z, log_snr)
    in_eps = [from_x("eps", model(Z, log_snr), Z, log_snr) for model in (conditional, unconditional)]
    expected = in_eps[1] + scale * (in_eps[0] - in_eps[1])
    # float32 through a division by σ and back.
    np.testing.assert_allclose(from_x("eps", found, Z, log_snr), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("log_snr", "inside"), [(-3.5, False), (-3.0, True), (0.0, True), (2.0, True), (2.5, False)]
)
def test_interval_includes_its_ends(log_snr, inside):
    level = jnp.float32(log_snr)
    found = guided(conditional, unconditional, 2.0, (-3.0, 2.0))(Z, level)
    mixed = unconditional(Z, level) + 2.0 * (conditional(Z, level) - unconditional(Z, level))
    np.testing.assert_array_equal(found, mixed if inside else conditional(Z, level))


def test_outside_the_interval_the_unconditional_model_is_not_evaluated():
    evaluated = []

    def counted(z_t, log_snr):
        jax.debug.callback(lambda level: evaluated.append(float(level)), log_snr)
        return unconditional(z_t, log_snr)

    log_snrs = jnp.asarray([-10.0, -5.0, -2.0, 0.0, 2.0, 5.0])
    sampler = DDIMConfig(steps=5).build(SamplerIO())
    denoise = guided(conditional, counted, 2.0, (-3.0, 1.0))
    end = jax.jit(lambda z: sampler(denoise, z, log_snrs, key=jax.random.key(0), clean=False))(Z)
    jax.block_until_ready(end)
    jax.effects_barrier()
    assert sorted(evaluated) == [-2.0, 0.0]


def test_scales_and_intervals_that_mean_nothing_are_refused():
    with pytest.raises(InterfaceError, match="scale must be at least 0, got -1"):
        guided(conditional, unconditional, -1.0)
    with pytest.raises(InterfaceError, match="scale must be at least 0, got nan"):
        guided(conditional, unconditional, float("nan"))
    with pytest.raises(InterfaceError, match="log_snr_interval must rise, got 2 to -3"):
        guided(conditional, unconditional, 2.0, (2.0, -3.0))
