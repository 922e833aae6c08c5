"""Whether runs agree with a claim. Runs of one seed share data order and noise: they are compared in pairs.

A claim says that a number rises from each variant to the next. For each such step the differences of runs
with equal seeds have Student's 95 % interval: all above zero, the runs agree; all below, they disagree;
anything else leaves it open, as a single seed always does. Nothing is corrected for several steps or claims.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ulzoo.study.model import Claim
from ulzoo.sweep.grid import SEED
from ulzoo.sweep.results import Row, t_interval

Verdict = Literal["agrees", "disagrees", "undecided"]


@dataclass(frozen=True)
class Step:
    """One step of a claim: mean difference of pairs, its interval if there are two or more, how many."""

    lower: str
    upper: str
    difference: float | None
    interval: tuple[float, float] | None
    pairs: int

    @property
    def verdict(self) -> Verdict:
        if self.interval is None:
            return "undecided"
        if self.interval[0] > 0:
            return "agrees"
        return "disagrees" if self.interval[1] < 0 else "undecided"


@dataclass(frozen=True)
class Answer:
    """A claim with what the runs say to it."""

    claim: Claim
    steps: tuple[Step, ...]

    @property
    def verdict(self) -> Verdict:
        verdicts = [step.verdict for step in self.steps]
        if "disagrees" in verdicts:
            return "disagrees"
        return "agrees" if set(verdicts) == {"agrees"} else "undecided"


def answer(claim: Claim, rows: Sequence[Row]) -> Answer:
    """What the runs that are there say to a claim."""
    pairs = zip(claim.rises[:-1], claim.rises[1:], strict=True)
    return Answer(claim, tuple(_step(claim.number, lower, upper, rows) for lower, upper in pairs))


def _step(number: str, lower: str, upper: str, rows: Sequence[Row]) -> Step:
    low, high = (_by_seed(number, group, rows) for group in (lower, upper))
    differences = [high[seed] - low[seed] for seed in low if seed in high]
    if not differences:
        return Step(lower, upper, None, None, 0)
    mean = math.fsum(differences) / len(differences)
    interval = t_interval(differences) if len(differences) > 1 else None
    return Step(lower, upper, mean, interval, len(differences))


def _by_seed(number: str, group: str, rows: Sequence[Row]) -> dict[int, float]:
    found = {}
    for row in rows:
        record = row.measured.get(number)
        if row.point.group == group and record is not None and math.isfinite(record.value):
            found[int(row.point.overrides[SEED])] = record.value
    return found
