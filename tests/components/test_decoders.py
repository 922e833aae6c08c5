"""Decoders and the base model against closed forms and recorded inputs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_networks import Constant, Recorder, Spatial
from module_tools import abstract, filled

from ulzoo.components.base_models.diffusion_base import DiffusionBase
from ulzoo.components.conditioners.class_label import ClassLabel, ClassLabelConfig
from ulzoo.components.decoders.diffusion_decoder import DiffusionDecoder, DiffusionDecoderConfig
from ulzoo.components.decoders.mse_decoder import ConstantWeighting, MSEDecoder, MSEDecoderConfig
from ulzoo.components.networks.vit import ViTConfig
from ulzoo.components.samplers.ddim import DDIM
from ulzoo.components.schedules.linear import Linear
from ulzoo.components.weightings.sigmoid import Sigmoid, SigmoidConfig
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import Condition, ConditionerIO, DecoderIO

SHAPE, LATENT = (1, 4, 4), (2, 2, 2)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def weighting(loss_factor=1.5, bias=2.0):
    return Sigmoid(jnp.asarray(loss_factor), jnp.asarray(bias))


def diffusion_decoder(network, data_shape=SHAPE):
    return DiffusionDecoder(
        network=network,
        schedule=Linear(10.0, -10.0),
        weighting=weighting(),
        prediction="x",
        data_shape=data_shape,
    )


def draw(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def test_distortion_is_the_weighted_squared_error_in_nats():
    decoder, x = diffusion_decoder(Constant(jnp.asarray(0.25))), draw(0, SHAPE)
    terms = decoder.distortion(x, draw(1, LATENT), jnp.asarray(0.4), key=jax.random.key(0))
    log_snr = 10.0 - 20.0 * 0.4
    squared_error = ((np.asarray(x, np.float64) - 0.25) ** 2).sum()
    # ½ (−λ') e^λ c sigmoid(b − λ) ‖x − x̂‖², summed over the dimensions.
    expected = 0.5 * 20.0 * np.exp(log_snr) * 1.5 * sigmoid(2.0 - log_snr) * squared_error
    # Float32: λ itself is rounded to 1e-7 of 10, and e^λ with it.
    assert float(terms.loss) == pytest.approx(expected, rel=1e-5)
    assert float(terms.squared_error) == pytest.approx(squared_error, rel=1e-6)
    assert float(terms.log_snr) == pytest.approx(log_snr, abs=1e-5)


def test_the_loss_factor_is_traced():
    traces = []

    @eqx.filter_jit
    def loss(decoder):
        traces.append(1)
        return decoder.distortion(
            draw(0, SHAPE), draw(1, LATENT), jnp.asarray(0.4), key=jax.random.key(0)
        ).loss

    decoder = diffusion_decoder(Constant(jnp.asarray(0.25)))
    turned = eqx.tree_at(lambda d: d.weighting.loss_factor, decoder, jnp.asarray(3.0))
    # A factor of two is exact in binary.
    assert loss(turned) == 2 * loss(decoder)
    assert loss(eqx.tree_at(lambda d: d.weighting.bias, decoder, jnp.asarray(0.0))) < loss(decoder)
    assert len(traces) == 1


def test_the_decoder_noises_the_data_once_and_is_told_z_0():
    seen = []
    x, z_0 = jnp.zeros((1, 64, 64)), draw(1, (2, 32, 32))
    decoder = diffusion_decoder(Recorder(seen), x.shape)
    decoder.distortion(x, z_0, jnp.asarray(0.5), key=jax.random.key(0))
    decoder.distortion(x, z_0, jnp.asarray(0.5), key=jax.random.key(0), inference=True)
    (x_t, log_snr, condition, key), (_, _, _, no_key) = seen
    assert float(log_snr) == 0.0
    # λ = 0 is σ² = ½; the variance of 4096 normal numbers is known to √(2/4096) = 2.2 %: four of these.
    assert float(x_t.var()) == pytest.approx(0.5, rel=0.09)
    np.testing.assert_array_equal(condition.spatial, z_0)
    assert key is not None
    assert no_key is None


def test_decoding_returns_what_the_network_expects():
    """A network that always says z_0 decodes to z_0 from any noise, at the last of the levels."""
    z_0 = draw(1, SHAPE)
    decoder = diffusion_decoder(Spatial())
    np.testing.assert_array_equal(decoder.decode(z_0, DDIM(steps=3), key=jax.random.key(0)), z_0)


def test_mse_distortion_and_decoding():
    decoder = MSEDecoder(network=Spatial(), weighting=ConstantWeighting(jnp.asarray(100.0)), data_shape=SHAPE)
    x, z_0 = draw(0, SHAPE), draw(1, SHAPE)
    terms = decoder.distortion(x, z_0, jnp.asarray(0.4), key=jax.random.key(0))
    squared_error = np.square(np.asarray(x, np.float64) - np.asarray(z_0, np.float64)).sum()
    # ½ · 100 · ‖x − x̂‖²; float32 sum of 16 squares.
    assert float(terms.loss) == pytest.approx(50 * squared_error, rel=1e-6)
    np.testing.assert_array_equal(decoder.decode(z_0, DDIM(steps=3), key=jax.random.key(0)), z_0)


@pytest.mark.parametrize("config", [DiffusionDecoderConfig, MSEDecoderConfig])
def test_gradients_reach_the_encoder_through_z_0(config):
    network = ViTConfig(width=8, depth=1, heads=2, patch=2, embedding_width=8)
    fields = {"weighting": SigmoidConfig(loss_factor=1.5, bias=2)} if config is DiffusionDecoderConfig else {}
    decoder = filled(abstract(config(network=network, **fields), DecoderIO(SHAPE, LATENT, 5.0)))
    decoder = eqx.tree_at(lambda d: d.weighting.loss_factor, decoder, jnp.asarray(1.5))

    @jax.jit
    def gradient(z_0):
        return jax.grad(
            lambda z: decoder.distortion(draw(0, SHAPE), z, jnp.asarray(0.5), key=jax.random.key(0)).loss
        )(z_0)

    by_z_0 = gradient(draw(1, LATENT))
    assert np.isfinite(by_z_0).all()
    assert np.abs(by_z_0).min() > 0


# ---- base model ---------------------------------------------------------------------------------


def labels(width, dropout=0.5, classes=3):
    table = jnp.arange((classes + 1) * width, dtype=jnp.float32).reshape(classes + 1, width)
    return ClassLabel(table=table, width=width, dropout=dropout)


def base_model(network, *conditioners):
    return DiffusionBase(
        network=network,
        conditioners=conditioners,
        schedule=Linear(5.0, -10.0),
        weighting=weighting(),
        prediction="x",
    )


def test_latents_are_noised_once_from_z_clean_and_never_below_the_encoders_noise():
    seen = []
    base = base_model(Recorder(seen))
    z_clean = jnp.zeros((1, 64, 64))
    for t in (0.0, 0.5):
        base.loss(z_clean, {}, jnp.asarray(t), key=jax.random.key(0))
    (at_0, log_snr_0, condition, _), (at_half, log_snr_half, _, _) = seen
    assert (float(log_snr_0), float(log_snr_half)) == (5.0, -2.5)
    # σ²(5) = 0.0067 and not twice that; 4096 numbers know their variance to 2.2 %: four of these.
    assert float(at_0.var()) == pytest.approx(sigmoid(-5.0), rel=0.09)
    assert float(at_half.var()) == pytest.approx(sigmoid(2.5), rel=0.09)
    assert condition == Condition()
    # The clean latent enters scaled by α: the same noise, one apart in z_clean.
    base.loss(z_clean + 1, {}, jnp.asarray(0.5), key=jax.random.key(0))
    np.testing.assert_allclose(
        seen[2][0] - at_half, np.sqrt(sigmoid(-2.5)), atol=1e-6
    )  # float32 rounding of 3


def test_base_loss_is_the_weighted_squared_error():
    z = draw(0, LATENT)
    terms = base_model(Constant(jnp.asarray(0.25))).loss(z, {}, jnp.asarray(0.2), key=jax.random.key(0))
    squared_error = ((np.asarray(z, np.float64) - 0.25) ** 2).sum()
    expected = 0.5 * 15.0 * np.exp(2.0) * 1.5 * sigmoid(0.0) * squared_error
    assert float(terms.loss) == pytest.approx(expected, rel=1e-5)  # e^λ of a λ rounded in float32


def test_conditions_are_put_side_by_side_and_null_without_any():
    seen = []
    base = base_model(Recorder(seen), labels(2), labels(3))
    base.denoise(jnp.zeros(LATENT), jnp.asarray(1.0), {"label": jnp.asarray(1)})
    base.denoise(jnp.zeros(LATENT), jnp.asarray(1.0), None)
    np.testing.assert_array_equal(seen[0][2].vector, [2, 3, 3, 4, 5])
    np.testing.assert_array_equal(seen[1][2].vector, [6, 7, 9, 10, 11])


def test_labels_are_dropped_independently_with_a_key_only():
    base = base_model(Constant(jnp.asarray(0.0)), labels(1), labels(1))
    raw = {"label": jnp.asarray(0)}
    draws = jax.vmap(lambda k: base.condition(raw, k).vector)(jax.random.split(jax.random.key(0), 2000)) == 3
    # Four standard errors of 2000 coin tosses: 4·√(¼/2000); both at once a quarter of the time.
    np.testing.assert_allclose(draws.mean(0), 0.5, atol=0.045)
    assert float(draws.all(1).mean()) == pytest.approx(0.25, abs=0.04)
    np.testing.assert_array_equal(base.condition(raw, None).vector, [0, 0])
    never = labels(1, dropout=0.0)
    assert not jax.vmap(lambda k: never(raw, key=k))(jax.random.split(jax.random.key(0), 100)).any()


def test_a_class_condition_needs_classes():
    table = ClassLabelConfig(width=4).build(ConditionerIO(10), key=jax.random.key(0))
    assert table.table.shape == (11, 4)
    np.testing.assert_array_equal(table.null(), table.table[10])
    with pytest.raises(InterfaceError, match="the data has no labels to condition on"):
        ClassLabelConfig(width=4).build(ConditionerIO(None), key=jax.random.key(0))
