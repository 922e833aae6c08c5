"""How compiling a training step grows with depth: python tests/bench/compile_time.py [--depths 4 16 64]

Stage 1 of `specs/vit.yaml` at width 64 with a normal prior, so that the decoder's transformer is nearly all
there is. Every depth is compiled in a process of its own without a compilation cache, in turn, `--rounds`
times. Told are medians in seconds: tracing and lowering (Python), compiling (XLA), both, and both over those
of the least depth.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SPEC = Path(__file__).parent / "specs" / "vit.yaml"
SETTINGS = (
    "prior={type: ulzoo.normal_prior.v1}",
    "decoder.network.width=64",
    "decoder.network.heads=2",
    "stage1.batch_size=8",
)


def child(depth):
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    from ulzoo.assemble import assemble
    from ulzoo.programs.stage1 import stage1
    from ulzoo.spec import load_spec

    spec = load_spec(SPEC, [*SETTINGS, f"decoder.network.depth={depth}"])
    program = stage1(assemble(spec), spec.stage1)
    start = time.perf_counter()
    lowered = program.lower()
    middle = time.perf_counter()
    lowered.compile()
    print(json.dumps([middle - start, time.perf_counter() - middle]))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        child(options.child)
        return
    times = {depth: [] for depth in options.depths}
    for _ in range(options.rounds):
        for depth, found in times.items():
            command = [sys.executable, __file__, "--child", str(depth)]
            found.append(json.loads(subprocess.run(command, stdout=-1, check=True, text=True).stdout))
            print(f"{depth} blocks: {sum(found[-1]):.2f} s", file=sys.stderr, flush=True)
    told = {}
    for depth, found in times.items():
        lowering, compiling = (statistics.median(column) for column in zip(*found, strict=True))
        both = [sum(one) for one in found]
        ratios = [sum(a) / sum(b) for a, b in zip(found, times[options.depths[0]], strict=True)]
        told[depth] = {
            "lower_seconds": round(lowering, 2),
            "compile_seconds": round(compiling, 2),
            "seconds": round(statistics.median(both), 2),
            f"over_depth_{options.depths[0]}": round(statistics.median(ratios), 3),
        }
    print(json.dumps({"rounds": options.rounds, "depths": told}, indent=2))


if __name__ == "__main__":
    main()
