"""What was saved comes back, bit for bit, in the sharding that is asked for."""

import subprocess

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from states import MANIFEST, State, abstract, assert_same, make_state, read

from ulzoo.checkpoint import Checkpoints
from ulzoo.errors import CheckpointError

# Where a restore fails inside Orbax, its reading tasks are left behind and say so when they are collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_restores_every_bit(saved):
    with read(saved) as checkpoints:
        assert checkpoints.steps() == [10, 20]
        assert checkpoints.latest() == 20
        assert checkpoints.manifest(20) == MANIFEST
        for step, seed in ((10, 1), (20, 2)):
            restored = checkpoints.restore(step, abstract(make_state()), {"spec_hash": "abc"})
            assert type(restored) is State
            assert_same(restored, make_state(seed=seed))


def test_restores_the_sharding_that_is_asked_for(saved):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec())
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), make_state()
    )
    restored = read(saved).restore(20, target, {})
    # JAX itself writes the sharding of an array of keys in other words, P(None) for P().
    assert all(leaf.sharding.is_equivalent_to(sharding, leaf.ndim) for leaf in jax.tree.leaves(restored))


def test_restores_one_part_from_its_own_files(copy):
    for name in ("params", "optimizer", "odd"):
        subprocess.run(["rm", "-r", str(copy / "step_00000020" / name)], check=True)
    state = make_state(seed=2)
    checkpoints = read(copy)
    assert_same(checkpoints.restore_part(20, "ema", abstract(state.ema), {"spec_hash": "abc"}), state.ema)
    assert_same(checkpoints.restore_part(20, "step", abstract(state.step)), state.step)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoints.restore_part(20, "params", abstract(state.params))


def test_a_dictionary_is_a_state_too(tmp_path):
    state = {"a": jnp.arange(3), "b": [jnp.ones(2), None], "c": None}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
        checkpoints.wait()
        assert_same(checkpoints.restore(1, abstract(state), {}), state)
