"""One device is a mesh of one; four devices give the same training, however the work is divided."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from tiny import images

from ulzoo.errors import InterfaceError
from ulzoo.parallel.mesh import check_batch, make_mesh, on_device

SCRIPT = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_disable_most_optimizations", True)
import numpy as np
import optax
from tiny import SPEC, drawn_state, images
from ulzoo.assemble import assemble
from ulzoo.parallel.mesh import batch_ways, make_mesh, put_batch
from ulzoo.programs.stage1 import stage1
from ulzoo.registry import Registry
from ulzoo.spec import Parallel, parse_spec

spec = parse_spec(SPEC, registry=Registry([sys.argv[1]]), overrides=sys.argv[3:])
one = jax.sharding.Mesh(jax.devices()[:1], ("data",))
results = {}
layouts = {
    "1": (one, Parallel()),
    "4": (make_mesh({"data": -1}), Parallel()),
    "mixed": (
        make_mesh({"fsdp": 2, "tensor": 2}), Parallel(mesh={"fsdp": 2, "tensor": 2}, replicate_below=32)
    ),
}
for layout, (mesh, parallel) in layouts.items():
    ways, devices = batch_ways(mesh), mesh.size
    program = stage1(
        assemble(spec), spec.stage1, mesh=mesh, optimizer=optax.sgd(0.01, momentum=0.5), parallel=parallel
    )
    state = drawn_state(program)
    for seed in range(2):
        batch = put_batch(images(seed), mesh)
        assert {len(shard.data) for shard in batch["image"].addressable_shards} == {4 // ways}
        state, metrics = program.step(state, batch)
        results |= {f"{layout} {name} {seed}": value for name, value in metrics.items()}
    leaves = jax.tree.leaves(state.params)
    whole = [leaf.sharding.is_fully_replicated for leaf in leaves]
    assert all(len(leaf.sharding.device_set) == devices for leaf in leaves)
    assert all(whole) if layout != "mixed" else any(whole) and not all(whole)
    for companions in (state.ema, state.opt_state[0].trace):
        for leaf, other in zip(leaves, jax.tree.leaves(companions), strict=True):
            assert other.sharding.is_equivalent_to(leaf.sharding, leaf.ndim)
    results |= {f"{layout} parameter {i}": leaf for i, leaf in enumerate(leaves)}
np.savez(sys.argv[2], **results)
"""


def test_four_devices_train_as_one(builtin_registry_folder, tmp_path):
    # The prior's network would add little but time to compile.
    arguments = [
        str(builtin_registry_folder),
        str(tmp_path / "results.npz"),
        "prior={type: ulzoo.normal_prior.v1}",
    ]
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "results.npz") as results:
        names = [name.removeprefix("1 ") for name in results.files if name.startswith("1 ")]
        assert len(names) > 20
        for name in names:
            # The same random numbers; sums over the batch are added in another order, in float32.
            for layout in ("4", "mixed"):
                np.testing.assert_allclose(
                    results[f"{layout} {name}"], results[f"1 {name}"], rtol=1e-4, atol=1e-5, err_msg=name
                )


def test_batches_that_do_not_divide_name_the_nearest_that_do():
    mesh = SimpleNamespace(shape={"data": 8})
    with pytest.raises(
        InterfaceError,
        match=r"^stage1.batch_size: 100 is not a multiple of mesh.data = 8; nearest are 96 and 104$",
    ):
        check_batch(100, mesh, "stage1.batch_size")
    with pytest.raises(InterfaceError, match=r"3 is not a multiple of mesh.data = 8; the least is 8$"):
        check_batch(3, mesh, "stage1.batch_size")
    check_batch(16, mesh, "stage1.batch_size")


def test_a_mesh_that_does_not_fit_the_devices_is_refused():
    count = jax.device_count()
    assert make_mesh({"data": -1}).shape == {"data": count}
    with pytest.raises(InterfaceError, match=rf"^parallel.mesh: .* does not multiply to the {count} devices"):
        make_mesh({"data": 2 * count})


def test_batches_go_ahead_by_one_and_none_is_lost(mesh):
    drawn = []

    def source():
        for seed in range(3):
            drawn.append(seed)
            yield images(seed)

    stream = on_device(source(), mesh)
    first = next(stream)
    deadline = time.monotonic() + 60
    while drawn != [0, 1]:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(0.05)
    assert drawn == [0, 1]
    np.testing.assert_array_equal(first["image"], images(0)["image"])
    assert [int(batch["label"][0]) for batch in stream] == [int(images(seed)["label"][0]) for seed in (1, 2)]
    assert list(on_device(iter([]), mesh)) == []
