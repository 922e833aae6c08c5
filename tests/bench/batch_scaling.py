"""Step time against batch: python tests/bench/batch_scaling.py SPEC [--batches 8 16 32 64]

One process; every batch has its program, all take steps in turn, `--rounds` times `--steps`, each waited
for. Told are the median step, the time of an image, and that over the time of an image in the largest batch:
above the batch that saturates the machine it is 1 if step time is linear.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

import jax
import numpy as np

from ulzoo.allocation import keep_memory
from ulzoo.assemble import assemble
from ulzoo.parallel.mesh import put_batch
from ulzoo.programs.stage1 import stage1
from ulzoo.spec import load_spec


class Stepping:
    """Stage 1 with one batch of random pictures."""

    def __init__(self, path, overrides, batch):
        spec = load_spec(path, [*overrides, f"stage1.batch_size={batch}"])
        self.program = stage1(assemble(spec), spec.stage1)
        rng = np.random.default_rng(0)
        made = {
            name: rng.integers(0, 10, like.shape).astype(like.dtype)
            for name, like in self.program.abstract_batch.items()
        }
        self.batch = put_batch(made, self.program.mesh)
        self.state = self.program.init(jax.random.key(0))
        self.times = []

    def step(self):
        start = time.perf_counter()
        self.state, metrics = self.program.step(self.state, self.batch)
        jax.block_until_ready(metrics)
        return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args()
    # As ulzoo's commands do.
    keep_memory(os.environ)
    all_ = {batch: Stepping(options.spec, options.overrides, batch) for batch in options.batches}
    for stepping in all_.values():
        for _ in range(2):
            stepping.step()
    for _ in range(options.rounds):
        for stepping in all_.values():
            stepping.times.append(statistics.median(stepping.step() for _ in range(options.steps)))
    largest = max(options.batches)
    told = {}
    for batch, stepping in all_.items():
        ratios = [
            (mine / batch) / (other / largest)
            for mine, other in zip(stepping.times, all_[largest].times, strict=True)
        ]
        step = statistics.median(stepping.times)
        told[batch] = {
            "step_ms": round(1e3 * step, 1),
            "image_ms": round(1e3 * step / batch, 3),
            f"image_over_that_at_{largest}": round(statistics.median(ratios), 3),
        }
    print(json.dumps({"spec": options.spec, "rounds": options.rounds, "batches": told}, indent=2))


if __name__ == "__main__":
    main()
