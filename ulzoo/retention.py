"""Which checkpoints stay: the latest, those at certain steps, and the best by a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Ranking:
    """A metric by which checkpoints are better or worse.

    Attributes:
        metric: such as `validation/loss`.
        mode: whether the least or the greatest value is the best.
        count: how many of the best stay.
    """

    metric: str
    mode: Literal["min", "max"] = "min"
    count: int = 1

    def best(self, scores: Mapping[int, float]) -> list[int]:
        """The best steps, the best first; of equal ones the earlier. What is not finite is never good."""
        sign = 1.0 if self.mode == "min" else -1.0
        known = [step for step, value in scores.items() if math.isfinite(value)]
        return sorted(known, key=lambda step: (sign * scores[step], step))[: self.count]


@dataclass(frozen=True)
class Retention:
    """Which checkpoints stay.

    Attributes:
        keep: so many of the latest.
        every: all whose step is a multiple of this; None: none for that reason.
        ranking: the best by this; None: none for that reason.
    """

    keep: int = 2
    every: int | None = None
    ranking: Ranking | None = None

    def kept(self, steps: list[int], scores: Mapping[int, float]) -> set[int]:
        """Those of `steps` that stay; `scores` are the ranking's, of the steps that have one."""
        latest = sorted(steps)[-self.keep :]
        regular = [step for step in steps if self.every is not None and step % self.every == 0]
        there = {step: scores[step] for step in steps if step in scores}
        best = self.ranking.best(there) if self.ranking is not None else []
        return {*latest, *regular, *best}
