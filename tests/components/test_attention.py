"""Attention against plain NumPy in float64; rotary positions against complex multiplication."""

import jax
import numpy as np
import pytest

from ulzoo.components.layers.attention import Attention, rotary_angles, rotate
from ulzoo.errors import InterfaceError

GRID, WIDTH, HEADS = (2, 3), 16, 2


@pytest.fixture(scope="module")
def attention():
    module = Attention(WIDTH, HEADS, GRID, key=jax.random.key(0))
    rng = np.random.default_rng(0)
    # Weights away from their initial ones and zeros, so that each of them shows.
    return jax.tree.map(
        lambda leaf: np.asarray(leaf) + 0.3 * rng.standard_normal(leaf.shape, np.float32), module
    )


def turned(x, angles):
    """Each pair (i, i + half) is a complex number, turned by its angle."""
    a, b = np.split(x.astype(np.float64), 2, -1)
    z = (a + 1j * b) * np.exp(1j * angles)
    return np.concatenate([z.real, z.imag], -1)


def expected_angles(grid, pairs_of_axis):
    """θ = position · 100^(−i/pairs) along each axis, axes one after the other."""
    rows = []
    for position in np.ndindex(*grid):
        row = []
        for coordinate, pairs in zip(position, pairs_of_axis, strict=True):
            row += [coordinate * 100 ** (-i / pairs) for i in range(pairs)]
        rows.append(row)
    return np.array(rows)


def test_angles_are_dealt_evenly_to_the_axes():
    np.testing.assert_allclose(rotary_angles((2, 3), 8), expected_angles((2, 3), (2, 2)), rtol=1e-6)
    # Seven pairs over three axes; float32 rounding of angles below 10.
    np.testing.assert_allclose(rotary_angles((2, 3, 2), 14), expected_angles((2, 3, 2), (3, 2, 2)), rtol=1e-6)
    assert rotary_angles((2, 2, 2), 4).shape == (8, 2)


def test_attention_matches_numpy(attention):
    tokens = np.random.default_rng(1).standard_normal((6, WIDTH)).astype(np.float32)
    got = jax.jit(lambda m, t: m(t))(attention, tokens)

    head, wide = WIDTH // HEADS, tokens.astype(np.float64)
    angles = expected_angles(GRID, (2, 2))
    q, k, v = np.split(wide @ np.asarray(attention.qkv.weight, np.float64).T, 3, -1)

    def normed(x, weight):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * np.asarray(weight, np.float64)

    mixed = []
    for h in range(HEADS):
        part = slice(h * head, (h + 1) * head)
        q_h = turned(normed(q[:, part], attention.norm_q.weight), angles)
        k_h = turned(normed(k[:, part], attention.norm_k.weight), angles)
        logits = q_h @ k_h.T / np.sqrt(head)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        mixed.append(weights / weights.sum(-1, keepdims=True) @ v[:, part])
    expected = np.concatenate(mixed, -1) @ np.asarray(attention.out.weight, np.float64).T
    # Float32 through three matrix products and a softmax on values of order 1.
    np.testing.assert_allclose(got, expected + np.asarray(attention.out.bias), atol=2e-5)


def test_rotary_logits_depend_on_differences_of_positions_alone():
    rng = np.random.default_rng(2)
    q, k = rng.standard_normal((2, 1, 1, 8)).astype(np.float32)
    angles = rotary_angles((4, 4), 8).reshape(4, 4, 4)

    def logit(at_q, at_k):
        return float((rotate(q, angles[at_q][None]) * rotate(k, angles[at_k][None])).sum())

    # Float32 rounding of eight products of order 1.
    assert logit((0, 1), (1, 3)) == pytest.approx(logit((2, 0), (3, 2)), abs=1e-5)
    assert logit((0, 1), (1, 3)) != pytest.approx(logit((0, 1), (3, 1)), abs=1e-2)


@pytest.mark.parametrize(("width", "heads"), [(16, 3), (12, 4)])
def test_heads_that_do_not_divide_the_width_are_refused(width, heads):
    with pytest.raises(
        InterfaceError, match=f"^heads: {heads} heads do not divide width {width} into even parts"
    ):
        Attention(width, heads, (2, 2), key=jax.random.key(0))
