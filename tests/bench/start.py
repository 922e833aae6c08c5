"""From command to first step, all compiled before: python tests/bench/start.py [SPEC] [--rounds 5]

In turn, each a new process: `python -c "import jax; jax.devices()"`, timed whole; and a start of stage 1 as
`ulzoo bench` measures it, from where the command is given to the end of the first step, with a compilation
cache that an uncounted first start has filled. Told are medians, and the start over the sum of import,
opening the data until the first batch is there, and one step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec", nargs="?", default="specs/digits.yaml")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    starts = []
    with tempfile.TemporaryDirectory() as folder:
        variables = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": folder,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        for turn in range(options.rounds + 1):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import jax; jax.devices()"], check=True)
            importing = time.perf_counter() - began
            out = Path(folder) / "result.json"
            steps = "5" if turn == options.rounds else "0"
            command = [sys.executable, "-m", "ulzoo.bench.process", options.spec, "1", steps, str(out)]
            subprocess.run([*command, str(time.time())], env=variables, check=True)
            found = json.loads(out.read_text())
            if turn:
                starts.append((found["first_step_seconds"], importing, found["data_seconds"]))
                print(f"round {turn}: start, import, data: {starts[-1]} s", file=sys.stderr, flush=True)
    step = found["steps"]["step_seconds"]
    total, importing, data = (statistics.median(column) for column in zip(*starts, strict=True))
    ratios = [a / (b + c + step) for a, b, c in starts]
    print(
        json.dumps(
            {
                "spec": options.spec,
                "rounds": options.rounds,
                "command_to_first_step": round(total, 3),
                "import_jax": round(importing, 3),
                "data_open": round(data, 3),
                "one_step": round(step, 4),
                "ratio": round(statistics.median(ratios), 3),
                "ratio_each_round": [round(ratio, 3) for ratio in ratios],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
