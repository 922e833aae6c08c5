"""Norms with channels last against Equinox's own, which have channels first; values and gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ulzoo.components.layers.norms import group_norm, layer_norm, rms_norm


def drawn(norm, seed):
    """The norm with weights away from one and zero."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: leaf + 0.5 * rng.standard_normal(leaf.shape).astype(np.float32), norm)


@pytest.fixture(scope="module")
def x():
    # Far from centred, and each channel on a scale of its own.
    rng = np.random.default_rng(0)
    return (rng.standard_normal((3, 4, 8)) * np.arange(1, 9) + 2.0).astype(np.float32)


def check(ours, theirs, *arguments):
    """Equal values and gradients; tolerances: float32's rounding of sums of 100 numbers of order 1."""
    up = np.random.default_rng(1).standard_normal(arguments[-1].shape).astype(np.float32)
    pull = lambda f: jax.jit(lambda *a: (f(*a), jax.vjp(f, *a)[1](jnp.asarray(up))))  # noqa: E731
    (value, gradients), (expected, expected_gradients) = pull(ours)(*arguments), pull(theirs)(*arguments)
    np.testing.assert_allclose(value, expected, atol=1e-5)
    for one, other in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected_gradients), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_group_norm(x, groups):
    def theirs(norm, x):
        return jnp.moveaxis(norm(jnp.moveaxis(x, -1, 0)), 0, -1)

    check(group_norm, theirs, drawn(eqx.nn.GroupNorm(groups, 8), 2), x)


def test_rms_norm(x):
    check(
        rms_norm, lambda norm, x: jax.vmap(jax.vmap(norm))(x), drawn(eqx.nn.RMSNorm(8, use_bias=False), 3), x
    )


def test_layer_norm(x):
    theirs = eqx.nn.LayerNorm(8, eps=1e-6, use_weight=False, use_bias=False)
    check(layer_norm, lambda x: jax.vmap(jax.vmap(theirs))(x), x)


@pytest.mark.parametrize("norm", [layer_norm, lambda x: rms_norm(eqx.nn.RMSNorm(8, use_bias=False), x)])
def test_low_precision_is_normalised_in_float32(norm, x):
    low = jnp.asarray(x, jnp.bfloat16)
    assert norm(low).dtype == jnp.bfloat16
    np.testing.assert_array_equal(norm(low), norm(low.astype(jnp.float32)).astype(jnp.bfloat16))
