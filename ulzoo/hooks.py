"""Hooks of the training loop: records with progress, and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from ulzoo.checkpoint import Checkpoints
from ulzoo.diffusion.accounting import label
from ulzoo.errors import NonFiniteError
from ulzoo.programs.state import TrainState
from ulzoo.progress import Progress
from ulzoo.records import Record
from ulzoo.stopping import StopRequest

UNFINISHED = "unfinished_interval"
"""Entry of a checkpoint's manifest: metrics of steps that no record holds yet."""
SKIPPED = "skipped_steps"
"""Metric of programs that skip steps: 1 for a step that changed nothing, else 0."""
LONGEST_SKIP = 100
"""Steps skipped in a row after which a run will not recover: nothing has changed in any of them."""


class MetricLog:
    """Averages the metrics of an interval, fetches them one interval late, and passes them on.

    Late, because by then the device has long computed them: fetching does not stall the steps. `flush` ends
    the interval and passes on everything. Averages are over the steps that were taken; skipped ones are
    counted.

    Attributes:
        means: of the last interval that was passed on, by name.

    Args:
        stage: "stage1" or "stage2".
        units: of the program's metrics.
        every: steps in an interval.
        write: receives the records.
        progress: is shown loss and bits/pixel.
        is_bound: whether the rate among the metrics, at full weight, is an upper bound.
        unfinished: what `unfinished` gave where the run was stopped.
    """

    def __init__(
        self,
        stage: str,
        units: Mapping[str, str],
        every: int,
        write: Callable[[list[Record]], None],
        progress: Progress | None = None,
        is_bound: bool = False,
        unfinished: Sequence[tuple[int, Mapping[str, float]]] = (),
    ) -> None:
        self._is_bound = is_bound
        self._stage, self._units, self._every = stage, units, every
        self._write, self._progress = write, progress
        self._skipped_in_a_row = 0
        self.means: Mapping[str, float] = {}
        # Metrics are float32; doubles would give averages that differ in the last digits.
        self._current: list[tuple[int, Mapping[str, Any]]] = [
            (step, {name: np.float32(value) for name, value in metrics.items()})
            for step, metrics in unfinished
        ]
        self._waiting: list[tuple[int, Mapping[str, Any]]] = []

    def __call__(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        self._current.append((step, metrics))
        numbers: Mapping[str, float] | None = None
        if step % self._every == 0:
            numbers = self._pass_on()
            self._waiting, self._current = self._current, []
        if self._progress is not None:
            self._progress.advance(1, numbers)

    def flush(self) -> None:
        """Pass on whatever is waiting; the interval ends here, perhaps short. Waits for the device.

        Raises:
            NonFiniteError: a loss or a gradient in it is not finite, in a step that was not skipped, or too
                many in a row were.
        """
        numbers = self._pass_on()
        self._waiting, self._current = self._current, []
        numbers = self._pass_on() or numbers
        if self._progress is not None:
            self._progress.advance(0, numbers)

    def unfinished(self) -> list[tuple[int, dict[str, float]]]:
        """Steps and metrics of the interval that has not ended, as JSON data; all before it is passed on.

        A log that is made with them goes on as this one would have.

        Raises:
            NonFiniteError: a loss or a gradient in it is not finite.
        """
        self._pass_on()
        fetched = [(step, jax.device_get(dict(metrics))) for step, metrics in self._current]
        for step, metrics in fetched:
            self._check(step, metrics)
        return [(step, {name: float(v) for name, v in metrics.items()}) for step, metrics in fetched]

    def _pass_on(self) -> dict[str, float] | None:
        if not self._waiting:
            return None
        steps = [step for step, _ in self._waiting]
        fetched = jax.device_get([metrics for _, metrics in self._waiting])
        self._waiting = []
        for step, metrics in zip(steps, fetched, strict=True):
            self._check(step, metrics)
        taken = [metrics for metrics in fetched if not metrics.get(SKIPPED)]
        names = [name for name in fetched[0] if name != SKIPPED]
        means = {name: float(sum(m[name] for m in taken)) / len(taken) for name in names} if taken else {}
        if SKIPPED in fetched[0]:
            means[SKIPPED] = float(len(fetched) - len(taken))
        self.means = means
        protocol = {"split": "train", "steps": [steps[0], steps[-1]], "ema": False}
        if "rate_weight" in means:
            protocol["rate"] = label(self._is_bound and means["rate_weight"] == 1.0)
        self._write(
            [
                Record(
                    steps[-1], self._stage, f"{self._stage}/train/{name}", value, self._units[name], protocol
                )
                for name, value in means.items()
            ]
        )
        shown = {"loss": "loss", "bits_per_pixel": "bits/pixel"}
        return {words: means[name] for name, words in shown.items() if name in means}

    def _check(self, step: int, metrics: Mapping[str, Any]) -> None:
        if metrics.get(SKIPPED):
            self._skipped_in_a_row += 1
            if self._skipped_in_a_row >= LONGEST_SKIP:
                raise _not_finite(
                    f"{self._stage}: {LONGEST_SKIP} steps in a row skipped up to step {step},"
                    " each with a loss or gradient that is not finite",
                    step,
                    metrics,
                )
            return
        self._skipped_in_a_row = 0
        for name, words in (("loss", "loss"), ("gradient_norm", "norm of the gradient")):
            if not math.isfinite(metrics.get(name, 0.0)):
                raise _not_finite(
                    f"{self._stage}: the {words} is {float(metrics[name])} at step {step}", step, metrics
                )


def _not_finite(text: str, step: int, metrics: Mapping[str, Any]) -> NonFiniteError:
    remedy = "try a smaller learning rate, a longer warm-up, or precision: float32"
    return NonFiniteError(
        f"{text}\n    {remedy}", step, {name: float(value) for name, value in metrics.items()}
    )


def save_checkpoints(
    checkpoints: Checkpoints,
    manifest: Mapping[str, Any],
    log: MetricLog,
    validate: Callable[[int, TrainState], Mapping[str, float]] | None = None,
) -> Callable[[int, TrainState, Mapping[str, Array]], None]:
    """A hook that saves the state; saving goes on in the background.

    The log is flushed first. So nothing is saved after a loss that is not finite, the records up to a
    checkpoint are on disk before it is, and a resumed run begins its intervals where any run does. Metrics by
    which it may be ranked are saved with it: those of the last interval, and what `validate` gives.
    """

    def hook(step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        log.flush()
        scores = {f"train/{name}": value for name, value in log.means.items()}
        if validate is not None:
            scores |= {f"validation/{name}": value for name, value in validate(step, state).items()}
        checkpoints.save(step, state, {**manifest, "step": step}, scores=scores)

    return hook


def stop_when_asked(
    stop: StopRequest, checkpoints: Checkpoints, manifest: Mapping[str, Any], log: MetricLog
) -> Callable[[int, TrainState, Mapping[str, Array]], None]:
    """A hook, to come after `save_checkpoints`, that saves and raises once there is a request to stop.

    The log's interval goes into the checkpoint: a run that was stopped has the records of one that was not.
    """

    def hook(step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        if not stop.made:
            return
        checkpoints.wait()
        if checkpoints.latest() != step:
            checkpoints.save(step, state, {**manifest, "step": step, UNFINISHED: log.unfinished()})
            checkpoints.wait()
        interruption = stop.interruption()
        interruption.add_note(f"step {step} is saved")
        raise interruption

    return hook
