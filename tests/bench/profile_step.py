"""Where a step of stage 1 spends its time on CPU: python tests/bench/profile_step.py SPEC [--top 25]

Three steps under `jax.profiler`, after two others. Every operation of XLA's program is told with its
milliseconds in a step, by kind (its name without the number) and one by one; loops themselves are left out,
since what runs inside is told. With several cores operations run beside each other, and the sum may exceed
the step. `system` is the kernel's part of the processor time: mostly pages of memory that are given back and
asked for again.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import json
import os
import re
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from ulzoo.assemble import assemble
from ulzoo.parallel.mesh import put_batch
from ulzoo.programs.stage1 import stage1
from ulzoo.spec import load_spec

STEPS = 3
NESTING = ("while", "call", "conditional")


def traced(step):
    """Milliseconds of each operation in a step."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(STEPS):
                step()
        (path,) = Path(folder).glob("**/*.trace.json.gz")
        events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    found: collections.Counter[str] = collections.Counter()
    for event in events:
        operation = event.get("args", {}).get("hlo_op")
        if event.get("ph") == "X" and operation and not operation.startswith(NESTING):
            found[operation] += event["dur"] / 1e3 / STEPS
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec")
    parser.add_argument("--top", type=int, default=25)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args()
    spec = load_spec(options.spec, options.overrides)
    program = stage1(assemble(spec), spec.stage1)
    rng = np.random.default_rng(0)
    made = {
        name: rng.integers(0, 10, like.shape).astype(like.dtype)
        for name, like in program.abstract_batch.items()
    }
    batch = put_batch(made, program.mesh)
    state = program.init(jax.random.key(0))

    def step():
        nonlocal state
        state, metrics = program.step(state, batch)
        jax.block_until_ready(metrics)

    for _ in range(2):
        step()
    start, before = time.perf_counter(), os.times()
    for _ in range(STEPS):
        step()
    whole, after = time.perf_counter() - start, os.times()
    print(f"a step: {1e3 * whole / STEPS:.1f} ms")
    for kind in ("user", "system"):
        used = getattr(after, kind) - getattr(before, kind)
        print(f"processor, {kind}: {1e3 * used / STEPS:.1f} ms")
    operations = traced(step)
    kinds: collections.Counter[str] = collections.Counter()
    for name, ms in operations.items():
        kinds[re.sub(r"[.\d]+$", "", name)] += ms
    print(f"operations: {sum(operations.values()):.1f} ms; by kind:")
    for table in (kinds, operations):
        for name, ms in table.most_common(options.top):
            print(f"  {ms:9.2f} ms  {name}")
        print()


if __name__ == "__main__":
    main()
