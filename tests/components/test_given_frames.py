"""Given frames: what is given arrives where it belongs; what is not never does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from pydantic import ValidationError

from ulzoo.components.base_models.diffusion_base import DiffusionBaseConfig
from ulzoo.components.conditioners.class_label import ClassLabelConfig
from ulzoo.components.conditioners.given_frames import GivenFramesConfig
from ulzoo.components.networks.vit import ViTConfig
from ulzoo.components.schedules.cosine import CosineConfig
from ulzoo.components.weightings.sigmoid import SigmoidConfig
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import BaseIO, ConditionerIO

DATA, LATENT = (1, 8, 4, 4), (2, 2, 2, 2)
IO = ConditionerIO(None, DATA, LATENT)


def conditioner(**fields):
    return GivenFramesConfig(**({"given": ((3, 0),), "width": 5} | fields)).build(IO, key=jax.random.key(0))


def clip(seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, DATA), jnp.float32)


def mask(*given):
    return jnp.asarray([n in given for n in range(DATA[1])])


def test_frames_that_are_not_given_never_leak():
    module = conditioner()
    seen = module({"x": clip()})
    future = clip().at[:, 3:].set(jnp.nan)
    assert_array_equal(module({"x": future}), seen)
    # Neither forward nor in the gradient, whatever is given and in training too.
    for raw in ({"given": mask(0, 7)}, {}):
        gradient = jax.grad(lambda x, raw=raw: module({"x": x} | raw, key=jax.random.key(3)).sum())(clip())
        hidden = 1 - (raw["given"] if raw else mask(0, 1, 2)).astype(jnp.float32)
        assert_array_equal(gradient * hidden[None, :, None, None], jnp.zeros(DATA))


def test_a_given_frame_arrives_at_its_own_place_in_the_latent():
    module = conditioner()
    base = module({"x": jnp.zeros(DATA)})
    # Frame 2 belongs to the first of two latent frames, row 3 and column 1 to its lower left.
    moved = module({"x": jnp.zeros(DATA).at[0, 2, 3, 1].set(1.0)})
    changed = np.any(np.asarray(base != moved), axis=0)
    assert_array_equal(np.argwhere(changed), [[0, 1, 0]])


def test_black_that_is_given_differs_from_nothing_given():
    module = conditioner()
    assert not np.array_equal(module({"x": jnp.zeros(DATA)}), module.null())
    assert_array_equal(module({"x": clip(), "given": mask()}), module.null())
    assert_array_equal(module({}), module.null())


def test_training_draws_a_pair_and_sometimes_gives_nothing():
    module = conditioner(given=((2, 0), (1, 1)), dropout=0.25)
    pairs = [module({"x": clip(), "given": mask(*frames)}) for frames in ((), (0, 1), (0, 7))]
    drawn = jax.vmap(lambda key: module({"x": clip()}, key=key))(jax.random.split(jax.random.key(1), 400))
    counts = [int(sum(np.allclose(one, pair, atol=1e-5) for one in drawn)) for pair in pairs]
    assert sum(counts) == 400
    # Of 400 draws, 100 ± 4.3 standard deviations of 8.7 give nothing.
    assert 62 < counts[0] < 138
    assert min(counts) > 62


def test_it_stands_beside_a_vector_in_a_base_model():
    config = DiffusionBaseConfig(
        network=ViTConfig(width=8, depth=1, heads=1, embedding_width=8),
        conditioners=(ClassLabelConfig(width=3), GivenFramesConfig(given=((3, 0),), width=5)),
        schedule=CosineConfig(),
        weighting=SigmoidConfig(loss_factor=1.0, bias=0.0),
    )
    base = config.build(BaseIO(LATENT, 5.0, 4, DATA), key=jax.random.key(0))
    condition = base.condition({"label": jnp.array(1), "x": clip()}, None)
    assert condition.vector.shape == (3,)
    assert condition.spatial.shape == (5, 2, 2, 2)
    assert base.denoise(jnp.zeros(LATENT), jnp.array(0.0), None).shape == LATENT


@pytest.mark.parametrize(
    ("io", "fields", "says"),
    [
        (ConditionerIO(10, (1, 8, 8), (2, 2, 2)), {}, "no frames"),
        (IO, {"given": ((5, 3),)}, "leaves nothing of 8 frames"),
        (ConditionerIO(None, (1, 9, 4, 4), LATENT), {}, "no multiple"),
    ],
)
def test_what_cannot_be_given_is_refused(io, fields, says):
    with pytest.raises(InterfaceError, match=says):
        GivenFramesConfig(**({"given": ((3, 0),)} | fields)).build(io, key=jax.random.key(0))


@pytest.mark.parametrize("given", [(), ((0, 0),), ((-1, 2),)])
def test_pairs_give_something(given):
    with pytest.raises(ValidationError):
        GivenFramesConfig(given=given)
