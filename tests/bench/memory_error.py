"""How far `ulzoo plan`'s memory is off: estimate, compiler's plan, and what a real step takes on CPU.

    python tests/bench/memory_error.py specs/digits.yaml --stage 1 --batch 64

Measured is the growth of the process's resident memory, from before the state is made to the highest point
of three steps: state, batch and temporaries, and whatever the runtime keeps beside them.
"""

from __future__ import annotations

import argparse
import gc
import json
import os

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np

from ulzoo.assemble import assemble
from ulzoo.parallel.mesh import put_batch
from ulzoo.planning import layouts
from ulzoo.planning.memory import compiled, estimated
from ulzoo.spec import load_spec


def resident(field: str) -> int:
    """Bytes, from the kernel: VmRSS now, VmHWM the highest since the last reset."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(f"{field}:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spec")
    parser.add_argument("--stage", type=int, default=1)
    parser.add_argument("--batch", type=int, required=True)
    arguments = parser.parse_args()
    spec = layouts.with_batch(load_spec(arguments.spec), arguments.stage, arguments.batch)
    assembly = assemble(spec)
    mesh = layouts.over(jax.devices()[:1], dict.fromkeys(layouts.mesh_sizes(spec, 1), 1))
    program = layouts.program(spec, assembly, mesh, arguments.stage)
    executable = program.lower().compile()

    rng = np.random.default_rng(0)
    images = {name: np.zeros(like.shape, like.dtype) for name, like in program.abstract_batch.items()}
    gc.collect()
    before = resident("VmRSS")
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # the high-water mark begins again
    # Drawn on the host: compiled initialisation would leave its own memory behind.
    state = jax.tree.map(lambda like: _drawn(like, rng), program.abstract_state)
    frozen = jax.tree.map(lambda like: _drawn(like, rng), program.abstract_frozen)
    batch = put_batch(images, mesh)
    for _ in range(3):
        state, metrics = executable(frozen, state, batch)
        jax.block_until_ready(metrics)
    measured = resident("VmHWM") - before
    found = {
        "spec": arguments.spec,
        "stage": arguments.stage,
        "batch": arguments.batch,
        "estimated": estimated(program, program).peak,
        "compiled": compiled(program, executable, "cpu").peak,
        "measured": measured,
    }
    print(json.dumps(found))


def _drawn(like: jax.ShapeDtypeStruct, rng: np.random.Generator) -> jax.Array:
    if jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.device_put(jax.random.key(0), like.sharding)
    values = 0.02 * rng.standard_normal(like.shape, np.float32)
    return jax.device_put(values.astype(like.dtype), like.sharding)


if __name__ == "__main__":
    main()
