"""`python -m ulzoo.bench.process SPEC STAGE STEPS OUT STARTED`: a start of a stage, seen from inside."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ulzoo.allocation import collect_rarely, keep_memory

_SETTLING = 3
"""Steps before the timed ones: the first allocates, and fills the queue of batches."""


def main(arguments: list[str]) -> None:
    path, stage, steps, out, started = arguments
    began = float(started)
    keep_memory(os.environ)
    collect_rarely()
    clock = time.time()
    import jax

    importing = time.time() - clock
    compiling = _watch_compilation(jax)
    from ulzoo.data.pipeline import batches
    from ulzoo.experiment import Experiment
    from ulzoo.flops import count_flops
    from ulzoo.parallel.mesh import device_names, on_device
    from ulzoo.spec import load_spec
    from ulzoo.training import stage_key

    spec = load_spec(path, [])
    experiment = Experiment.of(spec)
    number, settings = int(stage), experiment.settings(int(stage))
    autoencoder = None
    if number == 2:
        autoencoder = jax.jit(experiment.assembly.autoencoder)(stage_key(spec, 1))
    program = experiment.program(number, autoencoder)
    state = program.init(stage_key(spec, number))
    data: Any = experiment.training_data(number)
    if autoencoder is not None and settings.reads_latents:
        from ulzoo.bench.latents import some_latents

        clock = time.time()
        data = some_latents(experiment, autoencoder, Path(out).with_suffix(f".{os.getpid()}"))
        # Done once in a run, for all of its starts: no part of this one.
        began += time.time() - clock
    clock = time.time()
    names = list(program.abstract_batch)
    with (
        batches(data, batch_size=settings.batch_size, seed=spec.seed) as stream,
        closing(
            on_device(({name: b[name] for name in names} for b in stream), program.mesh)
        ) as device_batches,
    ):
        batch = next(device_batches)
        opening = time.time() - clock
        state, metrics = program.step(state, batch)
        jax.block_until_ready(metrics)
        result: dict[str, Any] = {
            "import_seconds": importing,
            "data_seconds": opening,
            "compile_seconds": sum(compiling),
            "first_step_seconds": time.time() - began,
            "devices": device_names(),
        }
        if int(steps):
            flops = count_flops(program.step, program.abstract_state, program.abstract_batch)
            measured, state = _timed(
                jax, program, state, device_batches, int(steps), flops, spec.formats.compute
            )
            speed = _running(jax, program, state, device_batches, int(steps))
            result["steps"] = {**measured, "images_per_second": settings.batch_size * speed}
    Path(out).write_text(json.dumps(result), encoding="utf-8")


def _timed(
    jax: Any,
    program: Any,
    state: Any,
    stream: Iterator[Mapping[str, Any]],
    steps: int,
    flops: int,
    dtype: str,
) -> tuple[dict[str, Any], Any]:
    """Steps one by one, between products of matrices: both meet the same machine. And the state after."""
    from ulzoo.bench.products import product_rate

    times, waits, rates = [], [], []
    every = max(1, steps // 5)
    batch = next(stream)
    for done in range(_SETTLING + steps):
        if done >= _SETTLING and (done - _SETTLING) % every == 0:
            rates.append(product_rate(dtype))
        start = time.perf_counter()
        state, metrics = program.step(state, batch)
        # As the loop of training does: the next batch is asked for while the step runs.
        asked = time.perf_counter()
        batch = next(stream)
        came, idle = time.perf_counter(), _is_done(metrics)
        jax.block_until_ready(metrics)
        if done >= _SETTLING:
            times.append(time.perf_counter() - start)
            waits.append(came - asked if idle else 0.0)
    median, rate = statistics.median(times), statistics.median(rates)
    low, high = (sorted(times)[round(q * (len(times) - 1))] for q in (0.1, 0.9))
    facts = {
        "timed_steps": steps,
        "step_seconds": median,
        "step_seconds_10_90": [low, high],
        "flops_per_step": flops,
        "product_flops_per_second": rate,
        "share_of_product_rate": flops / median / rate / jax.device_count(),
        "data_wait_share": sum(waits) / sum(times),
        "peak_bytes": _peak_bytes(jax),
    }
    return facts, state


def _is_done(metrics: Mapping[str, Any]) -> bool:
    return all(value.is_ready() for value in metrics.values())


def _running(jax: Any, program: Any, state: Any, stream: Iterator[Mapping[str, Any]], steps: int) -> float:
    """Steps per second as training takes them, without waiting for one before the next is asked for."""
    start = time.perf_counter()
    for _ in range(steps):
        state, metrics = program.step(state, next(stream))
    jax.block_until_ready(metrics)
    return steps / (time.perf_counter() - start)


def _watch_compilation(jax: Any) -> list[float]:
    """Seconds of each compilation from now on, by XLA or from the cache, tracing not included."""
    seconds: list[float] = []

    def listen(event: str, duration: float, **ignored: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            seconds.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return seconds


def _peak_bytes(jax: Any) -> int | None:
    """The most memory that was in use: the device's where it counts, else the process's on the host."""
    statistics_of = [device.memory_stats() for device in jax.local_devices()]
    peaks = [stats["peak_bytes_in_use"] for stats in statistics_of if stats and "peak_bytes_in_use" in stats]
    if peaks:
        return max(peaks)
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main(sys.argv[1:])
