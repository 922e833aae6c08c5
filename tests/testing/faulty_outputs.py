"""Faulty metrics and trackers."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import numpy as np
from faults import FAULTS, Fault, ScaleConfig, component

from ulzoo.metrics.base import Record


def metric(check: str, words: str, give: Any, stage: Any = 1):
    def build(self, io, *, key):
        return give

    body = {"build": build, "__doc__": "Faulty.", "stage": stage, "__annotations__": {"stage": ClassVar[Any]}}
    config = type(f"Metric_{check}_{len(FAULTS)}", (ScaleConfig,), body)
    FAULTS[config.__name__] = Fault(config, "metric", check, words)


def record(evaluation, name="stage1/heldout/x", value=1.0, unit="1", protocol=None):
    return [Record(name, value, unit, evaluation.protocol if protocol is None else protocol)]


metric("stage", "expected a class variable stage, 1 or 2, got 3", record, stage=3)
metric("records", "expected a list of ulzoo.metrics.base.Record, at least one", lambda evaluation: 0.5)
metric("records", "expected a name stage1/<split>/<metric>, got 'x'", lambda e: record(e, name="x"))
metric("records", "expected a unit of stage1/heldout/x", lambda e: record(e, unit=""))
metric("records", "value is nan", lambda e: record(e, value=float("nan")))
metric("protocol", "got no spec_hash, training_steps", lambda e: record(e, protocol={}))
metric("repeatable", "expected the same numbers again", lambda e: record(e, value=random.random()))


class Tracking:
    """Follows everything and writes nothing; each fault changes one method."""

    def __init__(self, io):
        self.io = io

    def resume(self, stage, step):
        pass

    def records(self, records):
        pass

    def pictures(self, pictures):
        pass

    def close(self):
        pass


class Deaf:
    def close(self):
        pass


class Finite(Tracking):
    def records(self, records):
        if not all(np.isfinite(record.value) for record in records):
            raise ValueError("infinite")


class Messy(Tracking):
    def records(self, records):
        (self.io.directory / "numbers.txt").write_text(str(records))


class Meddling(Tracking):
    def records(self, records):
        (self.io.directory / "metrics.jsonl").write_text("")


component(
    "tracker",
    "contract",
    "expected the methods resume, records, pictures, close, got no resume, records, pictures",
    lambda io, key: Deaf(),
)
component("tracker", "follows", "got ValueError: infinite", lambda io, key: Finite(io))
component("tracker", "own_folder", "got numbers.txt beside the run's files", lambda io, key: Messy(io))
component("tracker", "own_folder", "got another metrics.jsonl", lambda io, key: Meddling(io))
