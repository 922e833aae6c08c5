"""Causal in time: an image is a clip of one frame, and later frames never reach what is earlier."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from module_tools import abstract, filled

from ulzoo.components.encoders.resnet import ResNetConfig
from ulzoo.components.layers.space import (
    average_pool,
    depth_to_space,
    fit,
    fitting,
    nearest_up,
    space_to_depth,
)
from ulzoo.components.networks.uvit import UViTConfig
from ulzoo.components.networks.vit import ViTConfig
from ulzoo.components.networks.vit2 import LevelConfig, ViT2Config
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import Condition, ConditionIO, EncoderIO, NetworkIO

DATA, LATENT = (1, 9, 4, 4), (2, 3, 2, 2)
FACTOR = 4


def draw(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


# ---- changes of resolution ----------------------------------------------------------------------


def test_the_first_frame_is_a_patch_by_itself():
    x = draw(0, (2, 5, 2, 2))
    patches = np.asarray(space_to_depth(x, (4, 1, 1), causal=True))
    assert patches.shape == (8, 2, 2, 2)
    by_frame = patches.reshape(2, 4, 2, 2, 2)
    np.testing.assert_array_equal(by_frame[:, :, 1], x[:, 1:])
    np.testing.assert_array_equal(by_frame[:, :, 0], np.repeat(x[:, :1], 4, axis=1))
    np.testing.assert_array_equal(depth_to_space(patches, (4, 1, 1), causal=True), x)


def test_pooling_and_repeating_leave_the_first_frame_alone():
    x = draw(0, (2, 5, 2, 2))
    pooled = average_pool(x, (2, 1, 1), causal=True)
    # Means of two float32 numbers.
    np.testing.assert_allclose(pooled[:, 0], x[:, 0], rtol=1e-6)
    np.testing.assert_allclose(pooled[:, 2], (x[:, 3] + x[:, 4]) / 2, rtol=1e-5)
    up = nearest_up(pooled, (2, 1, 1), causal=True)
    np.testing.assert_array_equal(up, np.asarray(pooled)[:, [0, 1, 1, 2, 2]])


def test_conditions_are_brought_to_their_own_frames():
    assert fitting((3, 2, 2), (9, 4, 2), "", causal=True) == ((1, 1, 1), (4, 2, 1))
    assert fitting((9, 4, 2), (3, 2, 2), "", causal=True) == ((4, 2, 1), (1, 1, 1))
    z = draw(0, (1, 3, 2, 2))
    at_frames = fit(z, (1, 1, 1), (4, 1, 1), causal=True)
    np.testing.assert_array_equal(at_frames, np.asarray(z)[:, [0, 1, 1, 1, 1, 2, 2, 2, 2]])
    with pytest.raises(InterfaceError, match="not multiples of each other, beyond the first frame"):
        fitting((3, 2, 2), (8, 2, 2), "", causal=True)


# ---- the encoder --------------------------------------------------------------------------------

ENCODER = ResNetConfig(
    channels=(8, 8),
    blocks=(1, 1),
    latent_channels=2,
    patch=(2, 1, 1),
    factors=((2, 2, 2),),
    causal=True,
)


@pytest.fixture(scope="module")
def encoder():
    return filled(abstract(ENCODER, EncoderIO(DATA)))


def test_the_first_frames_alone_give_the_first_latents(encoder):
    assert ENCODER.latent_shape(DATA) == LATENT
    x = draw(1, DATA)
    run = eqx.filter_jit(lambda encoder, x: encoder(x))
    whole = run(encoder, x)
    assert whole.shape == LATENT
    for frames, latents in ((1, 1), (5, 2)):
        assert ENCODER.latent_shape((1, frames, 4, 4)) == (2, latents, 2, 2)
        # Float32 rounding in another order, of values of order 1.
        np.testing.assert_allclose(run(encoder, x[:, :frames]), whole[:, :latents], atol=1e-5)


def test_later_frames_never_reach_earlier_latents(encoder):
    x = draw(1, DATA)

    @jax.jit
    def run(x):
        whole, back = jax.vjp(encoder, x)
        # Gradient of each latent frame, by frame of the data.
        one_hot = jnp.eye(LATENT[1])[:, None, :, None, None] * jnp.ones(LATENT)
        return whole, jnp.abs(jax.vmap(lambda g: back(g)[0])(one_hot)).max(axis=(1, 3, 4))

    whole, reach = run(x)
    for latent in range(LATENT[1]):
        last = FACTOR * latent
        assert (reach[latent, last + 1 :] == 0).all()
        assert (reach[latent, : last + 1] > 0).all()
        # Not even what is no number: it is nowhere multiplied by 0.
        hidden, _ = run(x.at[:, last + 1 :].set(jnp.nan))
        np.testing.assert_array_equal(hidden[:, : latent + 1], whole[:, : latent + 1])


# ---- networks -----------------------------------------------------------------------------------

# As a decoder's: data of 9 frames, told a latent of 3.
NETWORKS = {
    "vit": ViTConfig(width=16, depth=2, heads=2, patch=(4, 2, 2), embedding_width=8, causal=True),
    "vit-factorised": ViTConfig(
        width=16, depth=2, heads=2, patch=(2, 2, 2), embedding_width=8, causal=True, attention="factorised"
    ),
    "vit2": ViT2Config(
        levels=(
            LevelConfig(width=8, depth=2, heads=2, attention="windowed", window=(2, 2, 2)),
            LevelConfig(width=16, depth=1, heads=2, factor=(2, 1, 1)),
        ),
        patch=(2, 2, 2),
        embedding_width=8,
        causal=True,
    ),
    "uvit": UViTConfig(
        channels=(8,),
        blocks=(1,),
        width=16,
        depth=1,
        heads=2,
        patch=(2, 1, 1),
        factors=((2, 2, 2),),
        embedding_width=8,
        causal=True,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_never_see_later_frames(name):
    config, io = NETWORKS[name], NetworkIO(DATA, ConditionIO(spatial=LATENT))
    network = filled(abstract(config, io))
    run = eqx.filter_jit(lambda n, x, z: n(x, jnp.asarray(1.0), Condition(spatial=z)))
    x, z = draw(1, DATA), draw(2, LATENT)
    whole = run(network, x, z)
    for latent in range(LATENT[1] - 1):
        seen = 1 + FACTOR * latent
        other = run(network, x.at[:, seen:].add(7.0), z.at[:, latent + 1 :].add(7.0))
        np.testing.assert_array_equal(other[:, :seen], whole[:, :seen])
        # Float32 rounding: what follows is there, and of order 1.
        assert (jnp.abs(other - whole)[:, seen:].max((0, 2, 3)) > 1e-3).all()
        # Shorter clips, and one frame by itself, are the beginning of longer ones.
        short = run(network, x[:, :seen], z[:, : latent + 1])
        np.testing.assert_allclose(short, whole[:, :seen], atol=2e-5)


def test_what_does_not_fit_is_named():
    with pytest.raises(InterfaceError, match=r"^patch: 8 frames are not 1 \+ a multiple of 2"):
        ENCODER.latent_shape((1, 8, 4, 4))
    with pytest.raises(InterfaceError, match=r"^factors.0: 6 frames are not 1 \+ a multiple of 2"):
        ENCODER.latent_shape((1, 11, 4, 4))
    with pytest.raises(InterfaceError, match=r"^causal: \(8, 8\) has no axis of time"):
        ResNetConfig(channels=(8,), blocks=(1,), latent_channels=2, causal=True).latent_shape((1, 8, 8))
    for config in NETWORKS.values():
        with pytest.raises(InterfaceError, match="frames are not"):
            abstract(config, NetworkIO((1, 8, 4, 4)))
