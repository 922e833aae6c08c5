"""`ulzoo bench SPEC`."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

from ulzoo.atomic import write_atomic
from ulzoo.cli.loading import load_checked
from ulzoo.cli.run_command import say
from ulzoo.errors import RunError


def run(arguments: argparse.Namespace) -> int:
    spec = load_checked(arguments.spec, arguments.overrides)
    if arguments.stage == 2 and spec.stage2 is None:
        raise RunError(f"{arguments.spec}: the spec has no stage 2")
    stages = (1, 2) if spec.stage2 is not None else (1,)
    asked = Path(arguments.out) if arguments.out is not None else None
    if asked is not None and asked.exists():
        raise RunError(f"{asked}: there is such a file; it is not overwritten")
    folder = Path() if asked is None else asked.parent
    if not os.access(folder, os.W_OK) or not folder.is_dir():
        raise RunError(f"{folder}: no such folder, or one that may not be written")
    from ulzoo.bench import measure

    result = measure(
        spec, stages if arguments.stage is None else (arguments.stage,), arguments.steps, say=say
    )
    out = free_name(result) if asked is None else asked
    write_atomic(out, json.dumps(result, indent=2) + "\n")
    say("\n".join(lines(result)))
    say(f"written: {out}")
    return 0


def free_name(result: dict[str, Any]) -> Path:
    """`bench-SPEC-HARDWARE.json`, with a number where there is such a file."""
    device = result["hardware"]["devices"][0]
    hardware = result["processor"] if device.startswith("cpu:") and result["processor"] else device
    words = re.sub(r"[^a-z0-9]+", "-", f"bench {result['spec'] or 'spec'} {hardware}".lower()).strip("-")
    numbers = itertools.chain([""], (f"-{i}" for i in itertools.count(2)))
    names = (Path(f"{words}{number}.json") for number in numbers)
    return next(name for name in names if not name.exists())


def lines(result: dict[str, Any]) -> list[str]:
    """What is printed: the machine, then one block for each stage."""
    hardware, versions = result["hardware"], result["versions"]
    told = [
        f"{result['processor'] or hardware['machine']}, {hardware['cpus']} processors, "
        f"{', '.join(hardware['devices'])}; jax {versions['jax']}, Python {result['python']}"
    ]
    if result["load_before"] and result["load_before"][0] > 0.5:
        told.append(f"other programs were running: load {result['load_before'][0]:.1f} before the start")
    for stage, m in result["stages"].items():
        low, high = m["step_seconds_10_90"]
        memory = "unknown" if m["peak_bytes"] is None else f"{m['peak_bytes'] / 2**20:.0f} MiB"
        told += [
            f"{stage}:",
            f"  {m['images_per_second']:.4g} images/s; a step {1e3 * m['step_seconds']:.4g} ms, "
            f"eight of ten within {1e3 * low:.4g} and {1e3 * high:.4g} ms ({m['timed_steps']} steps)",
            f"  {m['flops_per_step'] / 1e9:.4g} GFLOP a step: {m['share_of_product_rate']:.2f} of the rate "
            f"of a matrix product, {m['product_flops_per_second'] / 1e9:.4g} GFLOP/s",
            f"  waiting for data {m['data_wait_share']:.2%}; peak memory {memory}",
            f"  compilation {m['compile_seconds']:.1f} s, from the cache {m['cached_compile_seconds']:.1f} s",
            f"  from command to first step {m['first_step_seconds']:.1f} s, with the cache "
            f"{m['cached_first_step_seconds']:.1f} s (importing JAX {m['import_seconds']:.1f} s, opening the "
            f"data {m['data_seconds']:.1f} s)",
        ]
    return told
