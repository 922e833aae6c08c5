"""What is promised whatever the arrays are made of and wherever they are: dtypes, devices, files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ulzoo.checkpoint import Checkpoints
from ulzoo.parallel.mesh import make_mesh, over_batch, replicated
from ulzoo.parallel.precision import cast
from ulzoo.testing.case import ModuleCase
from ulzoo.testing.mismatch import require
from ulzoo.testing.subjects.shapes import COMPUTE
from ulzoo.testing.trees import near, pairs


def dtypes(case: ModuleCase) -> None:
    """Outputs have the dtypes of the contract, with float32 and with bfloat16 parameters."""
    narrow = tuple(
        cast(part, jnp.bfloat16) if i in case.subject.narrow else part
        for i, part in enumerate(case.inputs(1))
    )
    arrays = cast(case.parts[0], jnp.bfloat16)
    narrowed = eqx.filter_eval_shape(case.call, arrays, narrow, jax.random.key(1))
    for dtype, outputs in (("float32", case.outputs), ("bfloat16", narrowed)):
        promised = case.subject.promised(case.config, case.io, outputs)
        for name, want, got in pairs(promised, outputs):
            wanted = dtype if want.dtype == COMPUTE else str(want.dtype)
            require(str(got.dtype) == wanted, f"{name}{wanted} with {dtype} parameters", got.dtype)


def sharding(case: ModuleCase) -> None:
    """A batch spread over all devices gives what it gives on one."""
    inputs, keys, outputs = case.batch
    mesh = make_mesh()
    arrays = jax.device_put(case.parts[0], replicated(mesh))
    spread = jax.device_put((inputs, keys), over_batch(mesh))
    near(outputs, case.batched(arrays, *spread), "the same values on several devices as on one: ")


def restored(case: ModuleCase) -> None:
    """Saved to a checkpoint and restored into a module that was only traced, it gives equal outputs."""
    arrays, static = case.parts
    shapes, fresh = eqx.partition(case.abstract_build(), lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    if jax.tree.leaves(arrays):
        arrays = _through_a_checkpoint(arrays, shapes, case.name)
    single: Callable[..., Any] = case.single
    if not _equal(static, fresh):
        # What is no array came from another call of `build`, as it does when a run is resumed.
        single = jax.jit(
            lambda arrays, inputs, key: case.subject.run(eqx.combine(arrays, fresh), inputs, key, False)
        )
    inputs, key = case.inputs(1), jax.random.key(1)
    want, got = case.single(case.parts[0], inputs, key), single(arrays, inputs, key)
    near(want, got, "equal outputs after saving and restoring: ")


def _through_a_checkpoint(arrays: Any, shapes: Any, name: str) -> Any:
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), shapes)
    with tempfile.TemporaryDirectory(prefix="ulzoo-testing-") as folder, Checkpoints(folder) as checkpoints:
        checkpoints.save(1, {"module": arrays}, {"component": name})
        checkpoints.wait()
        return checkpoints.restore_part(1, "module", target)


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(eqx.tree_equal(one, other))
    except (TypeError, ValueError):
        # Static fields that are arrays, for instance, cannot be compared.
        return False
