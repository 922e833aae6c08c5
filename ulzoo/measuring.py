"""Metrics of one stage, and which records of the data each of them has looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ulzoo.data.source import Split
from ulzoo.metrics.base import Evaluation, Images, Metric, RateTable, Record
from ulzoo.metrics.collecting import Collection, Request
from ulzoo.spec.component import Component

RECORDS = "records"
"""Entry of a protocol: of each split that a number is of, the fingerprint of its source."""


class Watched:
    """A trained evaluation as metrics see it, that notes whose images they ask for.

    A configuration says where the data lies. What lay there when a number was measured it does not say: the
    fingerprint does, so that numbers of pictures that have changed since are not taken for comparable.
    """

    def __init__(self, evaluation: Any) -> None:
        self._evaluation = evaluation
        self._asked: set[Split] = set()
        self._known: dict[Split, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._evaluation, name)

    def measure(self, metric: Metric) -> list[Record]:
        """A metric's records, each with the fingerprints of the splits that it has looked at."""
        self._asked.clear()
        return self.named(metric(cast(Evaluation, self)), self._asked)

    def named(self, records: Sequence[Record], splits: Iterable[Split]) -> list[Record]:
        """Records with the fingerprints of splits; of a source that has none they stay as they are."""
        shown = {split: found for split in sorted(splits) if (found := self._fingerprint(split))}
        if not shown:
            return list(records)
        return [replace(record, protocol={**record.protocol, RECORDS: shown}) for record in records]

    def images(self, split: Split, limit: int | None = None) -> tuple[Images, np.ndarray | None]:
        return self._of(split).images(split, limit)

    def rates(self, split: Split, limit: int | None, times: int, seed: int, draws: int = 0) -> RateTable:
        return self._of(split).rates(split, limit, times, seed, draws)

    def reconstructions(
        self, split: Split, limit: int | None, seed: int, sampler: Component | None
    ) -> tuple[Images, Images, Mapping[str, Any]]:
        return self._of(split).reconstructions(split, limit, seed, sampler)

    def predictions(
        self, split: Split, limit: int | None, given: int, seed: int
    ) -> tuple[Images, Images, Mapping[str, Any]]:
        return self._of(split).predictions(split, limit, given, seed)

    def collect(self, requests: Sequence[Request]) -> Collection:
        for request in requests:
            if (split := getattr(request.stream, "split", None)) is not None:
                self._asked.add(split)
        return cast(Collection, self._evaluation.collect(requests))

    def _of(self, split: Split) -> Evaluation:
        self._asked.add(split)
        return cast(Evaluation, self._evaluation)

    def _fingerprint(self, split: Split) -> str:
        if split not in self._known:
            self._known[split] = self._evaluation.source(split).fingerprint()
        return self._known[split]
