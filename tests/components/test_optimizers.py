"""Learning-rate courses, clipping, and what decays."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from module_tools import abstract

from ulzoo.components.networks.vit import ViTConfig
from ulzoo.components.optimizers.adam import AdamConfig
from ulzoo.components.optimizers.adamw import AdamWConfig
from ulzoo.components.optimizers.schedule import decays, learning_rate_schedule
from ulzoo.interfaces import NetworkIO, OptimizerIO


@pytest.mark.parametrize(
    ("decay", "halfway", "end"), [("constant", 1.0, 1.0), ("linear", 0.6, 0.2), ("cosine", 0.6, 0.2)]
)
def test_courses_of_the_learning_rate(decay, halfway, end):
    rate = learning_rate_schedule(2.0, 10, decay, 0.2, 110)
    # Warm-up is linear and its first step is not lost; halfway both decays are at their mean. Float32.
    assert float(rate(0)) == pytest.approx(0.2, rel=1e-6)
    assert float(rate(10)) == pytest.approx(2.0, rel=1e-6)
    assert float(rate(60)) == pytest.approx(2 * halfway, rel=1e-6)
    assert float(rate(110)) == pytest.approx(2 * end, rel=1e-6)


def update(config, gradient, steps=100):
    transformation = config.build(OptimizerIO(steps), key=None)
    parameters = {"weight": jnp.ones(4)}
    updates, _ = transformation.update({"weight": gradient}, transformation.init(parameters), parameters)
    return np.asarray(updates["weight"])


def test_adams_first_update_has_the_size_of_the_learning_rate():
    gradient = jnp.array([3.0, -0.1, 0.02, 0.0])
    # m̂/√v̂ = sign(g) at the first step, but for eps = 1e-8 beside 0.02/|g|.
    np.testing.assert_allclose(
        update(AdamConfig(learning_rate=0.1), gradient), [-0.1, 0.1, -0.1, 0], atol=1e-6
    )


def test_clipping_is_by_the_global_norm_and_optional():
    # A gradient 1e8 times eps is not affected; clipped to 1e-8 it is halved by eps, in Adam's √v̂ + eps.
    gradient = jnp.array([1.0, 0, 0, 0])
    clipped = update(AdamConfig(learning_rate=0.1, clip_norm=1e-8), gradient)
    np.testing.assert_allclose(clipped[0], -0.05, rtol=1e-3)
    np.testing.assert_allclose(
        update(AdamConfig(learning_rate=0.1, clip_norm=None), gradient)[0], -0.1, rtol=1e-5
    )


def test_weight_decay_pulls_weights_towards_zero_and_leaves_biases():
    linear = eqx.tree_at(
        lambda m: (m.weight, m.bias),
        eqx.nn.Linear(2, 2, key=jax.random.key(0)),
        (jnp.ones((2, 2)), jnp.ones(2)),
    )
    adamw = AdamWConfig(learning_rate=0.1, weight_decay=0.5).build(OptimizerIO(100), key=None)
    updates, _ = adamw.update(jax.tree.map(jnp.zeros_like, linear), adamw.init(linear), linear)
    np.testing.assert_allclose(updates.weight, -0.05, rtol=1e-6)  # learning rate × decay × weight, float32
    np.testing.assert_array_equal(updates.bias, 0)


class Strange(eqx.Module):
    """A stranger's module, whose names say nothing of what they name."""

    a: eqx.nn.LayerNorm
    b: eqx.nn.Embedding
    c: eqx.nn.Conv2d
    my_norm: eqx.nn.Linear
    weight: jax.Array
    prototypes: jax.Array


def test_what_decays_does_not_hang_on_what_a_stranger_calls_it():
    def make(key):
        return Strange(
            eqx.nn.LayerNorm(4),
            eqx.nn.Embedding(3, 4, key=key),
            eqx.nn.Conv2d(2, 2, 3, key=key),
            eqx.nn.Linear(4, 4, key=key),
            jnp.ones(4),
            jnp.ones((4, 4)),
        )

    mask = decays(eqx.filter_eval_shape(make, jax.random.key(0)))
    paths = [jax.tree_util.keystr(path) for path, of in jax.tree_util.tree_leaves_with_path(mask) if of]
    assert paths == [".c.weight"]


def test_weights_and_kernels_decay_and_nothing_else():
    network = abstract(ViTConfig(width=8, depth=1, heads=2, embedding_width=8), NetworkIO((1, 4, 4)))
    mask = decays(network)
    assert mask.patch_in.weight
    assert mask.blocks.blocks.attention.qkv.weight
    assert not mask.patch_in.bias
    assert not mask.position
    assert not mask.blocks.blocks.attention.norm_q.weight
    assert not eqx.filter(mask, lambda leaf: leaf is True).blocks.blocks.modulation.linear.bias
