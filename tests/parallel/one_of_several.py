# ruff: noqa: E402
"""Run by tests: one process of several that train stage 1 of a small spec together, on CPU devices.

Arguments: index, processes, port, devices of each, run directory, step to end with, mesh.
"""

import sys
from pathlib import Path

import jax

INDEX, COUNT, PORT, DEVICES = map(int, sys.argv[1:5])
DIRECTORY, UNTIL, MESH = Path(sys.argv[5]), int(sys.argv[6]), sys.argv[7]
jax.config.update("jax_num_cpu_devices", DEVICES)
jax.config.update("jax_disable_most_optimizations", True)

sys.path.insert(0, str(Path(__file__).parents[1]))
from small_run import SPEC

from ulzoo.experiment import Experiment
from ulzoo.parallel import processes
from ulzoo.peers import Peers
from ulzoo.run import Run
from ulzoo.spec import parse_spec
from ulzoo.stages import create_run
from ulzoo.training import train_stage

CHANGES = ["stage1.steps=1000", "stage1.rate_warmup_steps=4", "stage1.checkpoint_every=4"]


def main():
    spec = parse_spec(SPEC, overrides=[*CHANGES, f"parallel={MESH}"])
    if COUNT > 1:
        processes.join(Peers(f"localhost:{PORT}", COUNT, INDEX, 300), {})
    first = INDEX == 0
    if first and not DIRECTORY.exists():
        create_run(spec, DIRECTORY).close()
    if COUNT > 1:
        assert processes.broadcast("made" if first else "") == "made"
    with Run.open(DIRECTORY, write=first, follow=not first) as run:
        train_stage(run, Experiment.of(spec), 1, lambda line: print(line, flush=True), until=UNTIL)
        if COUNT > 1:
            processes.wait_for_all("done")


try:
    main()
except KeyboardInterrupt as interruption:
    print("interrupted", *getattr(interruption, "__notes__", ()), flush=True)
    processes.leave(143)
except BaseException:
    import traceback

    traceback.print_exc()
    processes.leave(1)
