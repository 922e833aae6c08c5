"""The training loop: one readable function, to be copied into a script where it does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

import jax
import numpy as np
from jaxtyping import Array

from ulzoo.errors import DataError
from ulzoo.parallel.mesh import on_device
from ulzoo.programs.program import Program, entries_for
from ulzoo.programs.state import TrainState

Hook = tuple[int, Callable[[int, TrainState, Mapping[str, Array]], None]]
"""(every, function): called with (steps done, state, metrics of that step) after every `every`-th step and
after the last one. The next step donates the state: a hook that keeps it must copy it."""


def train(
    program: Program,
    state: TrainState,
    batches: Iterator[Mapping[str, np.ndarray]],
    *,
    steps: int,
    hooks: Sequence[Hook] = (),
) -> TrainState:
    """Step until `steps` steps are done, counted from the state's own.

    The loop never waits for the device: metrics are device scalars, and hooks choose when to fetch them. (On
    CPU `ulzoo`'s commands compute in this very thread: `ulzoo.allocation`.) Batches are taken in another
    thread, one at a time, while the step before runs.

    Args:
        batches: host batches from the state's step on; entries that the program does not take are left out. A
            second stage that reads latents (`stage2.encode_once`) takes images as well, and encodes them.
        hooks: called in this order.

    Raises:
        DataError: the batches end early, or lack an entry.
    """
    with closing(on_device(_chosen(batches, program), program.mesh)) as device_batches:
        for done in range(int(state.step) + 1, steps + 1):
            batch = next(device_batches, None)
            if batch is None:
                raise DataError(f"the data ended before step {done} of {steps}")
            state, metrics = program.step(state, batch)
            for every, hook in hooks:
                if done % every == 0 or done == steps:
                    hook(done, state, metrics)
    jax.block_until_ready(state.step)
    return state


def _chosen(
    batches: Iterator[Mapping[str, np.ndarray]], program: Program
) -> Iterator[Mapping[str, np.ndarray]]:
    for batch in batches:
        names = entries_for(program, batch)
        missing = [name for name in names if name not in batch]
        if missing:
            raise DataError(f"the batches have no entry {missing[0]!r}")
        yield {name: batch[name] for name in names}
