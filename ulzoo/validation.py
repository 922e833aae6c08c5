"""A stage's metrics on the same held-out batches with the same noise, at each checkpoint to be ranked."""

from __future__ import annotations

from typing import Any

import jax

from ulzoo.data.pipeline import Batch, eval_batches
from ulzoo.data.source import Dataset
from ulzoo.parallel.mesh import put_whole
from ulzoo.programs.program import Program, entries_for
from ulzoo.programs.state import TrainState
from ulzoo.records import Record


class Validation:
    """Averages of `Program.evaluate` over held-out batches, EMA weights, without dropout.

    Args:
        program: of the stage.
        data: read when it is first measured.
        batch_size: of the stage.
        count: how many batches, spread over the split; fewer where it has not so many.
        seed: of times and noise, which are the same at each checkpoint.
    """

    def __init__(self, program: Program, data: Dataset, batch_size: int, count: int, seed: int) -> None:
        self._program, self._data, self._seed = program, data, seed
        self._batch_size, self._count = batch_size, count
        self._batches: list[Batch] = []

    def __call__(self, state: TrainState) -> dict[str, float]:
        """Metrics by name; waits for the device."""
        if not self._batches:
            source = self._data.open("heldout")
            whole = max(1, min(self._count, len(source) // self._batch_size))
            self._batches = list(eval_batches(source, self._batch_size, whole * self._batch_size))
        keys = jax.random.split(jax.random.key(self._seed), len(self._batches))
        measured = [
            self._program.evaluate(state, put_whole(self._chosen(batch), self._program.mesh), key)
            for batch, key in zip(self._batches, keys, strict=True)
        ]
        fetched = jax.device_get(measured)
        return {name: float(sum(m[name] for m in fetched)) / len(fetched) for name in fetched[0]}

    def records(self, step: int, metrics: dict[str, float], units: Any) -> list[Record]:
        """The metrics as records of a run."""
        stage = self._program.name
        protocol = {
            "split": "heldout",
            "batches": len(self._batches),
            "batch_size": self._batch_size,
            "seed": self._seed,
            "ema": True,
        }
        return [
            Record(step, stage, f"{stage}/validation/{name}", value, units[name], protocol)
            for name, value in metrics.items()
        ]

    def _chosen(self, batch: Batch) -> Batch:
        # Latents that training reads from disk are of the training split: here images are encoded.
        names = entries_for(self._program, batch)
        # Held-out records are clips alone, without images beside them.
        return {name: batch[name] for name in names if not name.startswith("still")}
