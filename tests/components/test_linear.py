"""Convolutions in both of their forms, linear maps and dropout."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from ulzoo.components.layers.linear import (
    Conv3,
    Pointwise,
    _gathered,
    _native,
    dropout,
    looped,
    project,
    zeroed,
)
from ulzoo.components.layers.space import channels_first, channels_last

SPACES = [(7,), (4, 5), (3, 4, 2)]


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def reference(x, weight):
    """Zero-padded correlation in float64, one pair of channels at a time."""
    padded = np.pad(x.astype(np.float64), ((0, 0), *((1, 1),) * (x.ndim - 1)))
    pairs = [
        [correlate(padded[i], w[i], mode="valid") for i in range(len(x))] for w in weight.astype(np.float64)
    ]
    return np.array(pairs).sum(1)


@pytest.mark.parametrize("space", SPACES, ids=len)
def test_both_forms_of_the_convolution_agree_with_scipy_and_in_their_gradients(space):
    x, weight = draw(0, 3, *space), draw(1, 4, 3, *(3,) * len(space))
    up = draw(2, 4, *space)

    @jax.jit
    def run(x, weight):
        forms = [lambda x, w, f=f: channels_first(f(channels_last(x), w)) for f in (_gathered, _native)]
        return [(f(x, weight), *jax.vjp(f, x, weight)[1](up)) for f in forms]

    gathered, native = run(x, weight)
    # Sums of 81 products of order 1, rounded in float32.
    np.testing.assert_allclose(gathered[0], reference(x, weight), atol=1e-5)
    for one, other in zip(gathered, native, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_a_scanned_convolution_is_the_same_function():
    key, x = jax.random.key(0), draw(0, 2, 4, 4)
    plain, scanned = Conv3.draw(2, 2, 3, key=key), Conv3.draw(2, 2, 3, scanned=True, key=key)
    np.testing.assert_array_equal(plain.weight, scanned.weight)
    assert looped((plain, 1))[0].scanned
    assert jax.tree.structure(looped(plain)) == jax.tree.structure(scanned)
    shifted = lambda conv: eqx.tree_at(lambda c: c.bias, conv, jnp.arange(3.0))  # noqa: E731
    one, other = shifted(plain)(x), shifted(scanned)(x)
    np.testing.assert_allclose(one, other, atol=1e-5)  # sums of 18 products of order 1
    expected = reference(x, np.asarray(plain.weight)) + np.arange(3.0)[:, None, None]
    np.testing.assert_allclose(one, expected, atol=1e-5)


def test_linear_maps_against_einsum():
    x, tokens = draw(0, 3, 2, 4), draw(1, 5, 3)
    pointwise = eqx.tree_at(lambda p: p.bias, Pointwise(3, 2, key=jax.random.key(0)), jnp.array([1.0, -2.0]))
    expected = np.einsum("oi,ihw->ohw", pointwise.weight, x) + np.array([1.0, -2.0])[:, None, None]
    np.testing.assert_allclose(pointwise(x), expected, atol=1e-5)  # sums of three products of order 1
    linear = eqx.nn.Linear(3, 2, key=jax.random.key(1))
    np.testing.assert_allclose(project(linear, tokens), jax.vmap(linear)(tokens), atol=1e-5)


def test_zeroed_leaves_no_float_behind():
    module = zeroed(Pointwise(2, 2, key=jax.random.key(0)))
    assert all(not leaf.any() for leaf in jax.tree.leaves(module))


def test_dropout():
    x, key = jnp.ones(20_000), jax.random.key(3)
    assert dropout(x, 0.25, None) is x
    assert dropout(x, 0.0, key) is x
    kept = dropout(x, 0.25, key)
    assert set(np.unique(kept)) == {0.0, np.float32(1 / 0.75)}
    # Four standard errors of 20,000 coin tosses: 4·sqrt(0.25·0.75/20000).
    assert abs(float((kept == 0).mean()) - 0.25) < 0.0123
    np.testing.assert_array_equal(kept, dropout(x, 0.25, key))
