"""Encoders: the shapes they say, on images and clips, with and without a variance."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from module_tools import abstract, filled

from ulzoo.autoencoder import Autoencoder
from ulzoo.components.encoders.identity import IdentityConfig
from ulzoo.components.encoders.resnet import ResNetConfig
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import EncoderIO

PAPER = ResNetConfig(channels=(128, 256, 512, 512), blocks=(2, 2, 2, 3), latent_channels=32)
CASES = [
    (PAPER, (3, 512, 512), (32, 32, 32)),
    (ResNetConfig(channels=(8,), blocks=(1,), latent_channels=4, patch=1), (1, 8, 6), (4, 8, 6)),
    (
        ResNetConfig(
            channels=(8, 16, 16),
            blocks=(1, 0, 5),
            latent_channels=4,
            patch=(1, 2, 2),
            factors=((2, 2, 2), (2, 2, 2)),
        ),
        (3, 16, 32, 32),
        (4, 4, 4, 4),
    ),
]


@pytest.mark.parametrize(("config", "data", "latent"), CASES)
@pytest.mark.parametrize("moments", [1, 2])
def test_the_shape_it_says_is_the_shape_it_gives(config, data, latent, moments):
    assert config.latent_shape(data) == latent
    module = abstract(config, EncoderIO(data, moments))
    output = eqx.filter_eval_shape(lambda m, x: m(x), module, jax.ShapeDtypeStruct(data, "float32"))
    assert output.shape == (moments * latent[0], *latent[1:])


def test_the_paper_says_sixteen_times_down():
    assert PAPER.latent_shape((3, 256, 512)) == (32, 16, 32)


def test_dropout_is_on_exactly_with_a_key():
    config = ResNetConfig(channels=(8,), blocks=(2,), latent_channels=2, dropout=0.5)
    encoder = filled(abstract(config, EncoderIO((1, 8, 8))))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 8, 8)), jnp.float32)
    run = jax.jit(lambda key: (encoder(x), encoder(x, key=key)))
    (quiet, noisy), (again, other) = run(jax.random.key(0)), run(jax.random.key(1))
    np.testing.assert_array_equal(quiet, again)
    assert jnp.abs(quiet - noisy).max() > 1e-2
    assert jnp.abs(noisy - other).max() > 1e-2


def test_identity():
    config = IdentityConfig()
    x = jnp.arange(8.0).reshape(2, 2, 2)
    encoder = config.build(EncoderIO((2, 2, 2)), key=jax.random.key(0))
    assert config.latent_shape(x.shape) == x.shape
    np.testing.assert_array_equal(Autoencoder(encoder, None, None, 5.0).encode(x), x)
    with pytest.raises(InterfaceError, match="no variance to learn"):
        config.build(EncoderIO((2, 2, 2), moments=2), key=jax.random.key(0))


def test_z_0_carries_the_one_noise_of_the_spec():
    encoder = IdentityConfig().build(EncoderIO((1, 64, 64)), key=jax.random.key(0))
    autoencoder = Autoencoder(encoder, None, None, 5.0)
    z_0 = autoencoder.add_noise(jnp.full((1, 64, 64), 3.0), key=jax.random.key(0))
    # α_0 = 0.99665 and σ_0 = 0.08181 are square roots; 4096 numbers know their mean to σ/64 and σ to 1.1 %.
    assert float(z_0.mean()) == pytest.approx(3 * 0.99665, abs=4 * 0.08181 / 64)
    assert float(z_0.std()) == pytest.approx(0.08181, rel=0.045)


def test_what_does_not_fit_is_named():
    config = ResNetConfig(channels=(8, 8), blocks=(1, 1), latent_channels=4)
    with pytest.raises(InterfaceError, match=r"^factors.0: extents \(3, 4\) are not multiples of \(2, 2\)"):
        config.latent_shape((1, 6, 8))
    with pytest.raises(InterfaceError, match=r"^patch: extents \(7, 8\)"):
        config.latent_shape((1, 7, 8))
    with pytest.raises(ValueError, match="blocks has 1 entries, but channels has 2"):
        ResNetConfig(channels=(8, 8), blocks=(1,), latent_channels=4)
    with pytest.raises(ValueError, match="2 stages need one fewer"):
        ResNetConfig(channels=(8, 8), blocks=(1, 1), latent_channels=4, factors=(2, 2))
