"""Metrics."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import DataIO
from ulzoo.metrics.base import Record
from ulzoo.registry import Registry
from ulzoo.spec.component import Component
from ulzoo.testing.case import Case
from ulzoo.testing.mismatch import require
from ulzoo.testing.subjects.evaluation import CLASSES, RandomEvaluation

SHAPE = (1, 8, 8)
CLIP = (1, 12, 8, 8)


class MetricCase(Case):
    """A metric and an evaluation of random images."""

    def __init__(self, config: Component, registry: Registry, io: DataIO | None) -> None:
        super().__init__("metric", config, registry)
        self.io = _suited(config) if io is None else io

    @property
    def stage(self) -> int:
        return int(getattr(self.config, "stage", 1))

    def measure(self) -> Any:
        return self.config.build(self.io, key=None)(RandomEvaluation(self.stage, self.io.shape))

    @cached_property
    def measured(self) -> Any:
        return self.measure()


def _suited(config: Component) -> DataIO:
    """Images, or clips for a metric that refuses images."""
    images = DataIO(SHAPE, CLASSES)
    try:
        config.build(images, key=None)
    except InterfaceError:
        return DataIO(CLIP, CLASSES)
    return images


def stage(case: MetricCase) -> None:
    """It says which stage it measures: 1 (rates, reconstructions) or 2 (samples too)."""
    got = getattr(type(case.config), "stage", None)
    require(got in (1, 2), "a class variable stage, 1 or 2", repr(got))


def records(case: MetricCase) -> None:
    """It gives records, with finite numbers, units, and names that say stage and split."""
    found = case.measured
    right = isinstance(found, list) and found and all(isinstance(record, Record) for record in found)
    require(right, "a list of ulzoo.metrics.base.Record, at least one", repr(found)[:200])
    pattern = rf"stage{case.stage}/(train|heldout|reference)/[a-z0-9_]+"
    for record in found:
        require(
            re.fullmatch(pattern, record.name),
            f"a name stage{case.stage}/<split>/<metric>",
            repr(record.name),
        )
        require(record.unit, f"a unit of {record.name}, '1' for ratios", repr(record.unit))
        # Raises for what JSON cannot hold.
        record.to_json()


def protocol(case: MetricCase) -> None:
    """Each record carries what the evaluation says of itself: without it no two numbers can be compared."""
    wanted = RandomEvaluation(case.stage, case.io.shape).protocol
    for record in case.measured:
        missing = [name for name in wanted if name not in record.protocol]
        require(not missing, f"{record.name} with the protocol of its evaluation", f"no {', '.join(missing)}")


def repeatable(case: MetricCase) -> None:
    """Measured again it gives the same numbers."""
    first, again = ([record.to_json() for record in found] for found in (case.measured, case.measure()))
    require(first == again, f"the same numbers again: {first[0][:120]}", again[0][:120])
