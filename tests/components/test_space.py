"""Changes of resolution against plain index arithmetic, over one to three axes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulzoo.components.layers.space import (
    average_pool,
    depth_to_space,
    divided,
    fit,
    fitting,
    nearest_up,
    per_axis,
    space_to_depth,
)
from ulzoo.components.layers.tokens import to_grid, to_tokens
from ulzoo.errors import InterfaceError


@st.composite
def grids(draw):
    """Channels, coarse extents, factors."""
    axes = draw(st.integers(1, 3))
    sizes = st.lists(st.integers(1, 3), min_size=axes, max_size=axes)
    return draw(st.integers(1, 3)), tuple(draw(sizes)), tuple(draw(sizes))


def numbered(channels, space):
    """Every element is another number, so that equality means the same place."""
    return np.arange(channels * np.prod(space), dtype=np.float32).reshape(channels, *space)


def positions(space):
    return itertools.product(*map(range, space))


@given(grids())
def test_patching_puts_every_element_where_it_says_and_is_undone(grid):
    channels, small, factors = grid
    x = numbered(channels, [n * f for n, f in zip(small, factors, strict=True)])
    patched = space_to_depth(x, factors)
    for c, offset, position in itertools.product(range(channels), positions(factors), positions(small)):
        inside = np.ravel_multi_index(offset, factors)
        place = tuple(p * f + o for p, f, o in zip(position, factors, offset, strict=True))
        assert patched[(c * np.prod(factors) + inside, *position)] == x[(c, *place)]
    np.testing.assert_array_equal(depth_to_space(patched, factors), x)


@given(grids())
def test_depth_to_space_is_undone_by_patching(grid):
    channels, small, factors = grid
    x = numbered(channels * int(np.prod(factors)), small)
    np.testing.assert_array_equal(space_to_depth(depth_to_space(x, factors), factors), x)


@given(grids())
def test_average_pool_is_the_mean_of_each_patch(grid):
    channels, small, factors = grid
    x = numbered(channels, [n * f for n, f in zip(small, factors, strict=True)])
    pooled = average_pool(x, factors)
    for position in positions(small):
        patch = tuple(slice(p * f, (p + 1) * f) for p, f in zip(position, factors, strict=True))
        expected = x[(slice(None), *patch)].reshape(channels, -1).mean(1)
        # Sums of fewer than 30 integers below 1000 are exact in float32; the division rounds once.
        np.testing.assert_allclose(pooled[(slice(None), *position)], expected, rtol=1e-6)


def test_nearest_up_repeats_and_is_undone_by_pooling():
    x = numbered(2, (2, 3))
    up = np.asarray(nearest_up(x, (2, 3)))
    np.testing.assert_array_equal(up, np.kron(x, np.ones((1, 2, 3), np.float32)))
    np.testing.assert_array_equal(average_pool(up, (2, 1))[:, :, ::3], x)


@pytest.mark.parametrize(
    ("have", "want", "channels"),
    [
        ((4, 4), (4, 4), 3),
        ((2, 2), (4, 8), 3),
        ((8, 4), (4, 4), 6),
        ((8, 2), (4, 4), 6),
        ((2, 8, 8), (4, 4, 8), 6),
    ],
)
def test_fit_brings_coarse_and_fine_to_the_grid_axis_by_axis(have, want, channels):
    x = numbered(3, have)
    y = np.asarray(fit(x, *fitting(have, want, "")))
    assert y.shape == (channels, *want)
    # Nothing is lost: the values that come in are the values that come out.
    assert set(y.ravel()) == set(x.ravel())


def test_what_does_not_divide_is_named():
    with pytest.raises(InterfaceError, match=r"^patch: extents \(6, 8\) are not multiples of \(4, 4\)$"):
        divided((6, 8), (4, 4), "patch")
    with pytest.raises(
        InterfaceError, match=r"^patch: \[2, 2, 2\] has 3 entries, but the data has 2 spatial"
    ):
        per_axis((2, 2, 2), 2, "patch")
    with pytest.raises(InterfaceError, match=r"\(6, 6\) and \(4, 4\) are not multiples of each other"):
        fitting((6, 6), (4, 4), "")
    with pytest.raises(InterfaceError, match="differ in their number of axes"):
        fitting((6, 6), (2, 6, 6), "")


def test_tokens_are_positions_in_order():
    x = numbered(2, (3, 4))
    tokens = to_tokens(x)
    assert tokens.shape == (12, 2)
    np.testing.assert_array_equal(tokens[5], x[:, 1, 1])
    np.testing.assert_array_equal(to_grid(tokens, (3, 4)), x)
