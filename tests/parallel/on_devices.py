# ruff: noqa: E402
"""Run by tests in a process of its own, with CPU devices in place of real ones: count, job, file.

Meshes of fewer devices than there are take the first ones, so that one process shows them all.
"""

import math
import sys
import time
from pathlib import Path

import jax

COUNT, JOB, OUT = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
jax.config.update("jax_num_cpu_devices", COUNT)
jax.config.update("jax_disable_most_optimizations", True)

import numpy as np
import optax

sys.path.insert(0, str(Path(__file__).parents[1] / "programs"))
from tiny import drawn_state, images, to_host

from ulzoo.assemble import assemble
from ulzoo.checkpoint import Checkpoints
from ulzoo.interfaces import DataIO
from ulzoo.parallel.mesh import put_batch
from ulzoo.programs.stage1 import stage1
from ulzoo.spec import Parallel, parse_spec

IMAGES = """\
ulzoo: 1
data: {type: ulzoo.digits.v1, size: 8}
encoder: {type: ulzoo.resnet.v1, channels: [8], blocks: [1], latent_channels: 2}
prior: {type: ulzoo.normal_prior.v1}
decoder:
  type: ulzoo.diffusion_decoder.v1
  network: {type: ulzoo.vit.v1, width: 16, depth: 5, heads: 2, patch: 2, embedding_width: 8, dropout: 0.1}
  weighting: {type: ulzoo.sigmoid.v1, loss_factor: 1.5, bias: 4.0}
stage1: {steps: 20, batch_size: 8, ema: 0.2}
"""
WIDE = IMAGES.replace("width: 16, depth: 5", "width: 512, depth: 8, remat: true").replace(
    "embedding_width: 8", "embedding_width: 64"
)


def mesh_of(axes):
    """A mesh over the first devices."""
    devices = np.array(jax.devices()[: math.prod(axes.values())]).reshape(tuple(axes.values()))
    return jax.sharding.Mesh(devices, tuple(axes), axis_types=(jax.sharding.AxisType.Auto,) * len(axes))


def program_of(axes, text=IMAGES, shape=None, optimizer=None, **settings):
    spec = parse_spec(text, overrides=[f"stage1.{name}={value}" for name, value in settings.items()])
    assembly = assemble(spec, data=None if shape is None else DataIO(shape))
    return stage1(
        assembly,
        spec.stage1,
        mesh=mesh_of(axes),
        optimizer=optimizer or optax.sgd(0.01, momentum=0.9),
        parallel=Parallel(mesh=axes, replicate_below=0),
    )


def trained(axes, *, steps=2, shape=None, **settings):
    """Losses, norms and parameters after some steps."""
    program = program_of(axes, shape=shape, **settings)
    state, found = drawn_state(program), {}
    size = (8, 8, 1) if shape is None else (*shape[1:], shape[0])
    for step in range(steps):
        state, metrics = program.step(state, put_batch(images(step, 8, size), program.mesh))
        found |= {f"{name} {step}": np.asarray(value) for name, value in metrics.items()}
    leaves = jax.tree.leaves(to_host(state.params))
    return found | {f"parameter {i}": leaf for i, leaf in enumerate(leaves)}


def train(*meshes, **options):
    results = {}
    for name, axes in meshes:
        began = time.monotonic()
        results |= {f"{name}/{key}": value for key, value in trained(axes, **options).items()}
        print(name, f"{time.monotonic() - began:.1f} s", flush=True)
    np.savez(OUT, **results)


def accumulate():
    """One step of a whole batch, and of the same in micro-batches, on one device and on several."""
    one = {"data": 1}
    parts = {"whole": (one, 1), "in four": (one, 4), "in two, divided": ({"data": 2, "fsdp": 2}, 2)}
    results = {}
    for name, (axes, count) in parts.items():
        found = trained(axes, steps=1, accumulate=count)
        results |= {f"{name}/{key}": value for key, value in found.items()}
    np.savez(OUT, **results)


def restore():
    """A state saved from one layout and restored into others, and back; equal to the bit."""
    wide = {"data": COUNT // 4, "fsdp": 2, "tensor": 2} if COUNT > 4 else {"fsdp": 2, "tensor": COUNT // 2}
    program = program_of(wide, optimizer=optax.adam(1e-3))
    state = drawn_state(program)
    first = to_host(state)
    expect = {"spec_hash": "same"}
    with Checkpoints(OUT / "wide") as saved:
        saved.save(1, state, expect)
    others = [{"data": 1}, {"data": 2}, {"fsdp": 2}, {"fsdp": 4}, {"data": 2, "tensor": 2}]
    for i, axes in enumerate(others):
        other = program_of(axes, optimizer=optax.adam(1e-3))
        with Checkpoints(OUT / "wide", read_only=True) as checkpoints:
            restored = checkpoints.restore(1, other.abstract_state, expect)
        assert_equal(to_host(restored), first)
        for leaf, like in zip(jax.tree.leaves(restored), jax.tree.leaves(other.abstract_state), strict=True):
            assert leaf.sharding.is_equivalent_to(like.sharding, leaf.ndim)
        with Checkpoints(OUT / f"narrow{i}") as checkpoints:
            checkpoints.save(1, restored, expect)
        with Checkpoints(OUT / f"narrow{i}", read_only=True) as checkpoints:
            assert_equal(to_host(checkpoints.restore(1, program.abstract_state, expect)), first)
    print(f"{len(others)} layouts there and back")


def assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def memory():
    """Bytes on each device that the compiled step takes: what it is given, and what it needs meanwhile."""
    results = {}
    for count in (1, 2, 4, 8):
        program = program_of({"fsdp": count}, WIDE, optimizer=optax.adam(1e-3), batch_size=8)
        found = program.lower().compile().memory_analysis()
        results[f"{count}/arguments"] = found.argument_size_in_bytes
        results[f"{count}/temporary"] = found.temp_size_in_bytes
        print(count, found.argument_size_in_bytes, found.temp_size_in_bytes, flush=True)
    np.savez(OUT, **results)


FEW = [("one", {"data": 1}), ("fsdp", {"fsdp": 2}), ("mixed", {"data": 2, "tensor": 2})]
MANY = [
    ("one", {"data": 1}),
    *((f"data {n}", {"data": n}) for n in (2, 4, 8)),
    *((f"fsdp {n}", {"fsdp": n}) for n in (2, 4, 8)),
    ("tensor 2", {"tensor": 2}),
    ("hybrid", {"data": 2, "fsdp": 4}),
    ("mixed 4", {"fsdp": 2, "tensor": 2}),
    ("mixed 8", {"data": 2, "fsdp": 2, "tensor": 2}),
]
CLIP = (1, 2, 8, 8)
"""Two frames."""

if __name__ == "__main__":
    jobs = {
        "train": lambda: train(*MANY),
        "clips": lambda: train(*FEW, MANY[6], MANY[-1], shape=CLIP),
        "accumulate": accumulate,
        "restore": restore,
        "memory": memory,
    }
    jobs[JOB]()
