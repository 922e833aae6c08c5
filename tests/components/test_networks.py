"""What every denoiser network promises, on images and on clips."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from module_tools import abstract, filled, shapes

from ulzoo.components.networks.uvit import UViTConfig
from ulzoo.components.networks.vit import ViTConfig
from ulzoo.components.networks.vit2 import LevelConfig, ViT2Config
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import Condition, ConditionIO, NetworkIO
from ulzoo.parallel.precision import cast

IMAGE, CLIP = (3, 8, 8), (2, 4, 8, 8)
# The spatial condition is coarser than the image's grid; the clip's is finer in time and coarser in space.
IMAGE_CONDITION, CLIP_CONDITION = ConditionIO(6, (4, 2, 2)), ConditionIO(6, (3, 8, 2, 2))


def level(width, **fields):
    return LevelConfig(width=width, depth=2, heads=2, dropout=0.5, **fields)


CASES = {
    "vit-image": (ViTConfig(width=16, depth=2, heads=2, patch=2, embedding_width=16, dropout=0.5), IMAGE),
    "vit-clip": (
        ViTConfig(width=16, depth=2, heads=2, patch=(1, 2, 2), embedding_width=16, dropout=0.5),
        CLIP,
    ),
    "vit2-image": (ViT2Config(levels=(level(8), level(16)), patch=2, embedding_width=16), IMAGE),
    "vit2-clip": (
        ViT2Config(levels=(level(8), level(16, factor=(1, 2, 2))), patch=(2, 2, 2), embedding_width=16),
        CLIP,
    ),
    "uvit-image": (
        UViTConfig(channels=(8,), blocks=(1,), width=16, depth=2, heads=2, embedding_width=16, dropout=0.5),
        IMAGE,
    ),
    "uvit-clip": (
        UViTConfig(
            channels=(8, 8),
            blocks=(1, 1),
            width=16,
            depth=1,
            heads=2,
            patch=(1, 2, 2),
            factors=((1, 2, 2), (2, 1, 1)),
            embedding_width=16,
            dropout=0.5,
        ),
        CLIP,
    ),
}


def io_of(shape):
    return NetworkIO(shape, IMAGE_CONDITION if len(shape) == 3 else CLIP_CONDITION)


def draw(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


class Case:
    """A network with all its parameters drawn at random, and one compiled program for it."""

    def __init__(self, config, shape):
        self.config, self.io = config, io_of(shape)
        self.network = filled(abstract(config, self.io))
        self.z, self.log_snr = draw(1, shape), jnp.asarray(1.5)
        self.condition = Condition(draw(2, (self.io.condition.vector,)), draw(3, self.io.condition.spatial))

        @eqx.filter_jit
        def call(network, z, log_snr, condition, key):
            return network(z, log_snr, condition), network(z, log_snr, condition, key=key)

        self.call = call

    def __call__(self, *, network=None, log_snr=None, condition=None, key=0):
        network = self.network if network is None else network
        log_snr = self.log_snr if log_snr is None else jnp.asarray(log_snr)
        return self.call(network, self.z, log_snr, condition or self.condition, jax.random.key(key))


@functools.cache
def case_named(name):
    return Case(*CASES[name])


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request):
    return case_named(request.param)


def differ(one, other):
    return float(jnp.abs(one - other).max()) > 1e-3


def test_output_has_the_shape_of_the_input(case):
    quiet, noisy = case()
    assert quiet.shape == noisy.shape == case.z.shape
    assert quiet.dtype == jnp.float32
    assert np.isfinite(quiet).all()


def test_log_snr_and_both_conditions_matter(case):
    base = case()[0]
    assert differ(base, case(log_snr=-3.0)[0])
    assert differ(base, case(condition=Condition(-case.condition.vector, case.condition.spatial))[0])
    assert differ(base, case(condition=Condition(case.condition.vector, -case.condition.spatial))[0])


def test_dropout_is_on_exactly_with_a_key(case):
    quiet, noisy = case(key=1)
    other_quiet, other_noisy = case(key=2)
    np.testing.assert_array_equal(quiet, other_quiet)
    assert differ(quiet, noisy)
    assert differ(noisy, other_noisy)
    np.testing.assert_array_equal(noisy, case(key=1)[1])


def test_conditions_are_given_exactly_as_built_for(case):
    vector, spatial = case.condition.vector, case.condition.spatial
    for condition in (Condition(vector), Condition(None, spatial)):
        with pytest.raises(InterfaceError, match="exactly if it is built for one"):
            jax.eval_shape(lambda c=condition: case.network(case.z, case.log_snr, c))


def test_built_abstractly_and_for_real_it_is_the_same_tree():
    config, shape = CASES["vit-image"]
    io = io_of(shape)
    # Not the default generator: this one compiles in a third of the time.
    network = eqx.filter_jit(lambda key: config.build(io, key=key))(jax.random.key(0, impl="unsafe_rbg"))
    assert shapes(network) == shapes(abstract(config, io))
    assert code_of(network) == code_of(abstract(config, io))


def code_of(module):
    """All that is not an array."""
    return jax.tree.structure(eqx.filter(module, lambda leaf: not hasattr(leaf, "shape")))


@pytest.mark.parametrize("name", ["vit-image", "vit2-image", "uvit-clip"])
def test_the_output_starts_at_zero(name):
    case = case_named(name)
    last = jax.jit(lambda key: case.config.build(case.io, key=key).patch_out)(jax.random.key(0))
    quiet, noisy = case(network=eqx.tree_at(lambda n: n.patch_out, case.network, last))
    np.testing.assert_array_equal(quiet, jnp.zeros(case.io.shape))
    np.testing.assert_array_equal(noisy, jnp.zeros(case.io.shape))


@pytest.mark.parametrize("name", ["vit-image", "uvit-image"])
def test_in_bfloat16_the_output_is_bfloat16_and_near(name):
    case = case_named(name)
    # Small weights keep all values of order 1, where rounding is small beside them.
    network = filled(case.network, scale=0.05)
    wide = case(network=network)[0]
    narrow = jax.jit(lambda n, z, condition: n(z, case.log_snr, condition))(
        *cast((network, case.z, case.condition), jnp.bfloat16)
    )
    assert narrow.dtype == jnp.bfloat16
    # bfloat16 keeps 8 bits: some ten layers of rounding of 0.4 % each, relative to the largest output.
    assert float(jnp.abs(narrow.astype(jnp.float32) - wide).max()) < 0.05 * float(jnp.abs(wide).max())


WRONG = [
    (
        ViTConfig(width=16, depth=1, heads=3),
        (3, 8, 8),
        "heads: 3 heads do not divide width 16 into even parts",
    ),
    (ViTConfig(width=16, depth=1, patch=3), (3, 8, 8), "patch: extents (8, 8) are not multiples of (3, 3)"),
    (
        ViTConfig(width=16, depth=1, patch=(1, 2, 2)),
        (3, 8, 8),
        "patch: [1, 2, 2] has 3 entries, but the data has",
    ),
    (
        ViT2Config(levels=(level(8), level(8, factor=3))),
        (3, 8, 8),
        "levels.1.factor: extents (8, 8) are not multiples of (3, 3)",
    ),
    (
        UViTConfig(channels=(8, 8), blocks=(1, 1), width=8, depth=1, factors=(2, 4)),
        (3, 8, 8),
        "factors.1: extents (2, 2) are not multiples of (4, 4)",
    ),
]


@pytest.mark.parametrize(("config", "shape", "message"), WRONG)
def test_what_does_not_fit_is_named(config, shape, message):
    with pytest.raises(InterfaceError) as error:
        abstract(config, NetworkIO(shape))
    assert str(error.value).startswith(message)


def test_levels_that_disagree_are_refused():
    with pytest.raises(ValueError, match="blocks has 1 entries, but channels has 2"):
        UViTConfig(channels=(8, 8), blocks=(1,), width=8, depth=1)
    with pytest.raises(ValueError, match="factors has 1 entries, but channels has 2"):
        UViTConfig(channels=(8, 8), blocks=(1, 1), factors=(2,), width=8, depth=1)
