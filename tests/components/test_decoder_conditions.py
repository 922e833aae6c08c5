"""Decoders that are told the class, or given frames; what is not given never reaches them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from module_tools import abstract, filled

from ulzoo.autoencoder import Autoencoder
from ulzoo.components.conditioners.class_label import ClassLabelConfig
from ulzoo.components.conditioners.given_frames import GivenFramesConfig
from ulzoo.components.decoders.diffusion_decoder import DiffusionDecoderConfig
from ulzoo.components.decoders.mse_decoder import MSEDecoderConfig
from ulzoo.components.networks.vit import ViTConfig
from ulzoo.components.samplers.ddim import DDIM
from ulzoo.components.weightings.sigmoid import SigmoidConfig
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractDecoder, ConditionerIO, DecoderIO, LossTerms

DATA, LATENT, CLASSES = (1, 9, 4, 4), (2, 3, 2, 2), 3
IO = DecoderIO(DATA, LATENT, 5.0, CLASSES, causal=True)
NETWORK = ViTConfig(width=16, depth=1, heads=2, patch=(4, 2, 2), embedding_width=8, causal=True)
GIVEN = 5


def draw(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def decoder(kind, *conditioners, io=IO):
    fields = {"weighting": SigmoidConfig(loss_factor=1.5, bias=2)} if kind is DiffusionDecoderConfig else {}
    made = filled(abstract(kind(network=NETWORK, conditioners=conditioners, **fields), io))
    return eqx.tree_at(lambda d: d.weighting.loss_factor, made, jnp.asarray(1.5))


def told(**raw):
    return {name: jnp.asarray(value) for name, value in raw.items()}


@pytest.mark.parametrize("kind", [DiffusionDecoderConfig, MSEDecoderConfig])
def test_the_class_is_told_and_dropped_with_a_key(kind):
    made = decoder(kind, ClassLabelConfig(width=3, dropout=0.5))
    x, z = draw(0, DATA), draw(1, LATENT)

    @eqx.filter_jit
    def run(made, raw, key, inference):
        at = jnp.asarray(0.5)
        loss = made.distortion(x, z, at, key=key, inference=inference, raw=raw).loss
        return loss, made.decode(z, DDIM(steps=1), key=jax.random.key(1), raw=raw)

    fixed = jax.random.key(0)
    nothing, one, two = (run(made, raw, fixed, True) for raw in (None, told(label=1), told(label=2)))
    for quantity in range(2):
        for a, b in ((nothing, one), (one, two)):
            assert np.abs(np.asarray(a[quantity] - b[quantity])).max() > 1e-4
    np.testing.assert_array_equal(run(made, {}, fixed, True)[1], nothing[1])
    if kind is MSEDecoderConfig:
        # Its loss draws nothing else: with a key it is one of two numbers, both within 20 keys.
        losses = [float(run(made, told(label=1), jax.random.key(i), False)[0]) for i in range(20)]
        # Another program than with `inference`: float32 rounding of a sum of 144 squares.
        kept, dropped = (
            [loss == pytest.approx(float(way[0]), rel=1e-5) for loss in losses] for way in (one, nothing)
        )
        assert any(kept)
        assert any(dropped)
        assert all(a or b for a, b in zip(kept, dropped, strict=True))


def test_frames_that_are_not_given_never_reach_the_decoder():
    made = decoder(MSEDecoderConfig, GivenFramesConfig(given=((GIVEN, 0),), width=4))
    x, z = draw(0, DATA), draw(1, LATENT)
    given = jnp.arange(DATA[1]) < GIVEN

    @jax.jit
    def run(x):
        decode = lambda x: made.predict(z, raw={"x": x, "given": given})  # noqa: E731
        return decode(x), jax.jacrev(decode)(x)

    seen, jacobian = run(x)
    reach = jnp.abs(jacobian).max(axis=(0, 2, 3, 4, 6, 7))
    assert reach.shape == (DATA[1], DATA[1])
    assert (reach[:, GIVEN:] == 0).all()
    # In a causal decoder given frames reach their own group and what comes after it: 0, then 1 to 4.
    assert (reach[0, 1:] == 0).all()
    assert (reach[0, 0] > 0) & (reach[1:GIVEN, :GIVEN] > 0).all() & (reach[GIVEN:, :GIVEN] > 0).all()
    # What is not given could be no number at all.
    np.testing.assert_array_equal(run(x.at[:, GIVEN:].set(jnp.nan))[0], seen)


def test_five_given_frames_fill_two_causal_latent_frames():
    io = ConditionerIO(None, DATA, LATENT, causal=True)
    module = GivenFramesConfig(given=((GIVEN, 0),), width=4).build(io, key=jax.random.key(0))
    x = draw(0, DATA)
    at = lambda count: module({"x": x, "given": jnp.arange(DATA[1]) < count})  # noqa: E731
    for count, changed in ((1, [0]), (GIVEN, [0, 1])):
        found = np.any(np.asarray(at(count) != module.null()), axis=(0, 2, 3))
        np.testing.assert_array_equal(np.flatnonzero(found), changed)
    # The first frame alone is all that its place says.
    np.testing.assert_array_equal(at(1)[:, 0], at(GIVEN)[:, 0])


def test_a_shorter_latent_is_a_shorter_clip():
    z = draw(1, LATENT)
    for kind in (DiffusionDecoderConfig, MSEDecoderConfig):
        made = decoder(kind, ClassLabelConfig(width=3), GivenFramesConfig(given=((GIVEN, 0),), width=4))
        for latents, frames in ((1, 1), (2, 5)):
            decode = lambda z, made=made: made.decode(z, DDIM(steps=2), key=jax.random.key(0))  # noqa: E731
            assert jax.eval_shape(decode, z[:, :latents]).shape == (1, frames, 4, 4)
    # Float32 rounding in another order, of values of order 1.
    predict = eqx.filter_jit(lambda made, z: made.predict(z))
    np.testing.assert_allclose(predict(made, z[:, :1]), predict(made, z)[:, :1], atol=1e-5)


class Plain(AbstractDecoder):
    """A decoder from before there were conditions."""

    def distortion(self, x, z_0, t, *, key, inference=False):
        return LossTerms(jnp.square(x).sum(), jnp.square(x).sum(), t)

    def decode(self, z_0, sampler, *, key):
        return z_0


def test_decoders_that_are_told_nothing_work_as_ever():
    autoencoder = Autoencoder(None, None, Plain(), 5.0)
    z = draw(0, (1, 2, 2))
    np.testing.assert_array_equal(
        autoencoder.decode(z, DDIM(steps=1), key=jax.random.key(0), raw=told(label=1)), z
    )


def test_conditions_that_the_data_does_not_have_are_named():
    io = DecoderIO(DATA, LATENT, 5.0, None, causal=True)
    with pytest.raises(InterfaceError, match=r"^conditioners.0: the data has no labels"):
        decoder(MSEDecoderConfig, ClassLabelConfig(), io=io)
