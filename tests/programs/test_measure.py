"""The times at which rates are measured: stratified within an image, independent between images."""

import jax
import jax.numpy as jnp
import numpy as np

from ulzoo.autoencoder import Autoencoder
from ulzoo.components.priors.diffusion_prior import DiffusionPrior
from ulzoo.components.schedules.linear import LinearConfig
from ulzoo.interfaces import AbstractDenoiser, AbstractEncoder, ScheduleIO
from ulzoo.programs.measure import keys_for, rates


class Same(AbstractEncoder):
    def __call__(self, x, *, key=None):
        return x


class Nothing(AbstractDenoiser):
    def __call__(self, z_t, log_snr, condition, *, key=None):
        return jnp.zeros_like(z_t)


def test_times_are_nested_in_images():
    schedule = LinearConfig().build(ScheduleIO(5.0))
    prior = DiffusionPrior(
        network=Nothing(),
        schedule=schedule,
        prediction="x",
        stop_gradient=False,
        normal_kl=0.0,
        is_bound=True,
    )
    autoencoder = Autoencoder(Same(), prior, None, 5.0)
    images = np.zeros((2000, 1, 1, 1), np.uint8)
    _, log_snr, _, _ = rates(autoencoder, images, keys_for(2, np.arange(2000, dtype=np.int32)), 4)
    times = np.asarray(jax.jit(schedule.inverse)(log_snr))
    assert times.shape == (2000, 4)
    # The inverse is rounded to float32: away from a stratum's edge by less than a millionth of it.
    offsets = times * 4 - np.arange(4)
    assert offsets.min() > -1e-5
    assert offsets.max() < 1 + 1e-5
    np.testing.assert_allclose(offsets, np.broadcast_to(offsets[:, :1], (2000, 4)), atol=1e-5)
    # Uniform over images: mean and variance within five standard errors.
    u = offsets[:, 0]
    assert abs(u.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 2000)
    assert abs(u.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / 2000)
    # Five standard errors of a correlation of 2000 independent pairs.
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 5 / np.sqrt(2000)
