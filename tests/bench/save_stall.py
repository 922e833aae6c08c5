"""How long a training loop waits for a save of its state. By hand: python tests/bench/save_stall.py [MIB …]

Each save begins with nothing left of the one before, as between checkpoints that are far apart. Printed are
medians of five, after a first one that is not counted: the time of the call, the processor time of the
calling thread in it (which other work on the machine does not lengthen), and how long writing and checksums
then go on beside the steps.
"""

import statistics
import sys
import tempfile
import time

import jax
import jax.numpy as jnp

from ulzoo.checkpoint import Checkpoints


def measure(mebibytes: int, saves: int = 6) -> tuple[float, float, float]:
    """Seconds of the call, of the calling thread's processor in it, and of the work after it."""
    arrays = {f"w{i}": jnp.full(2**18, 0.5, jnp.float32) for i in range(mebibytes)}
    jax.block_until_ready(arrays)
    times = []
    with tempfile.TemporaryDirectory() as folder, Checkpoints(folder) as checkpoints:
        for step in range(1, saves + 1):
            wall, thread = time.perf_counter(), time.thread_time()
            checkpoints.save(step, {"params": arrays}, {"step": step})
            called, used = time.perf_counter(), time.thread_time()
            checkpoints.wait()
            times.append((called - wall, used - thread, time.perf_counter() - called))
    call, thread, after = zip(*times[1:], strict=True)
    return statistics.median(call), statistics.median(thread), statistics.median(after)


if __name__ == "__main__":
    for size in map(int, sys.argv[1:] or ("4", "64", "512")):
        call, thread, after = (1e3 * seconds for seconds in measure(size))
        print(
            f"{size} MiB: call {call:.1f} ms, of it thread {thread:.1f} ms; after it {after:.0f} ms",
            flush=True,
        )
