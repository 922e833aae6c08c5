"""A state with everything a training state may hold, and what tests of its checkpoints do with it."""

from __future__ import annotations

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import SingleDeviceSharding

from ulzoo.checkpoint import Checkpoints
from ulzoo.errors import CheckpointError

MANIFEST = {"spec_hash": "abc", "components": {"ulzoo.vit.v1": "ulzoo 0.1.0"}, "next_batch": 7}


class State(eqx.Module):
    """The shape of a training state: modules with None holes, optax, keys, bare leaves, an empty field."""

    params: eqx.Module
    ema: eqx.Module
    optimizer: tuple
    key: jax.Array
    keys: dict
    step: jax.Array
    empty: None
    odd: dict
    name: str = eqx.field(static=True)


def make_state(width: int = 4, seed: int = 0, layers: int = 2, dtype=jnp.float32) -> State:
    model = eqx.nn.MLP(3, 2, width, layers, key=jax.random.key(seed))
    params = eqx.filter(model, eqx.is_inexact_array)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    return State(
        params=params,
        ema=params,
        optimizer=optax.adam(1e-3).init(params),
        key=jax.random.key(seed + 1),
        keys={"rbg": jax.random.split(jax.random.key(seed, impl="rbg"), 3)},
        step=jnp.int32(seed),
        empty=None,
        odd={
            "half": jnp.full((2, 2), seed, jnp.bfloat16),
            "none": jnp.zeros((0, 3)),
            "flag": jnp.array(True),
        },
        name="state",
    )


def abstract(state):
    device = SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), state)


def bits(leaf) -> bytes:
    data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    return np.asarray(data).tobytes()


def assert_same(found, expected) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert bits(a) == bits(b)


def read(directory: Path) -> Checkpoints:
    return Checkpoints(directory, read_only=True)


def data_files(step: Path) -> list[Path]:
    return sorted(path for path in step.rglob("*") if path.is_file())


def attempt(directory: Path) -> str:
    """Restores step 20: the message of the refusal, or "" if every bit is right."""
    try:
        restored = read(directory).restore(20, abstract(make_state()), MANIFEST)
    except CheckpointError as error:
        return str(error)
    assert_same(restored, make_state(seed=2))
    return ""


def flip(step: Path) -> None:
    """Changes a bit of the largest file of the parameters."""
    largest = max(data_files(step / "params"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


def refusal(directory, state, expect=MANIFEST, step=20) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(directory).restore(step, abstract(state), expect)
    return str(caught.value)
