"""Whether runs agree with a claim. Runs of one seed share data order and noise: they are compared in pairs.

A claim says that a number rises from each variant to the next. For each such step the differences of runs
with equal seeds have Student's 95 % interval: all above zero, the runs agree; all below, they disagree;
anything else leaves it open, as a single seed always does. Nothing is corrected for several steps or claims.

A claim may also say that a number lies within bounds: then it does in every run, or the runs disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ulzoo.report.numbers import interval_words, short
from ulzoo.study.model import Claim, Study
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

    def words(self) -> str:
        """For the page."""
        told = "not measured" if self.difference is None else short(self.difference)
        told += f" ({interval_words(self.interval)}, {self.pairs} pairs)" if self.interval else ""
        return f"{self.lower} → {self.upper}: {told}"


@dataclass(frozen=True)
class Reach:
    """The values of one variant, held against bounds; `runs`: how many there are to be."""

    variant: str
    values: tuple[float, ...]
    within: tuple[float, float]
    runs: int

    @property
    def verdict(self) -> Verdict:
        low, high = self.within
        if not all(low <= value <= high for value in self.values):
            return "disagrees"
        return "agrees" if len(self.values) == self.runs else "undecided"

    def words(self) -> str:
        """For the page."""
        return f"{self.variant}: {', '.join(map(short, self.values)) or 'not measured'}"


@dataclass(frozen=True)
class Answer:
    """A claim with what the runs say to it."""

    claim: Claim
    steps: tuple[Step | Reach, ...]

    @property
    def verdict(self) -> Verdict:
        verdicts = [step.verdict for step in self.steps]
        if "disagrees" in verdicts:
            return "disagrees"
        return "agrees" if set(verdicts) == {"agrees"} else "undecided"


def answer(study: Study, claim: Claim, rows: Sequence[Row]) -> Answer:
    """What the runs that are there say to a claim of a study."""
    if claim.rises is None:
        assert claim.within is not None
        found = {name: _by_seed(claim.numbers[0], name, rows) for name in study.variants}
        reached = (
            Reach(name, tuple(values.values()), claim.within, len(study.seeds))
            for name, values in found.items()
        )
        return Answer(claim, tuple(reached))
    places = list(zip(claim.numbers, claim.rises, strict=True))
    return Answer(claim, tuple(_step(a, b, rows) for a, b in pairwise(places)))


def _step(lower: tuple[str, str], upper: tuple[str, str], rows: Sequence[Row]) -> Step:
    """From one number of one variant to the next."""
    low, high = (_by_seed(number, group, rows) for number, group in (lower, upper))
    differences = [high[seed] - low[seed] for seed in low if seed in high]
    if not differences:
        return Step(lower[1], upper[1], None, None, 0)
    mean = math.fsum(differences) / len(differences)
    interval = t_interval(differences) if len(differences) > 1 else None
    return Step(lower[1], upper[1], mean, interval, len(differences))


def _by_seed(number: str, group: str, rows: Sequence[Row]) -> dict[int, float]:
    found = {}
    for row in rows:
        record = row.measured.get(number)
        if row.point.group == group and record is not None and math.isfinite(record.value):
            found[int(row.point.overrides[SEED])] = record.value
    return found
