"""Damaged records among a run's metrics: how many so far, and which."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ulzoo.data.pipeline import Batches
from ulzoo.records import Record

_NAMED = 100
"""Damaged records that a line of metrics.jsonl names; the number counts them all."""


def damage_hook(
    stream: Batches, stage: str, earlier: Iterable[Record], write: Callable[[list[Record]], None]
) -> Callable[..., None]:
    """A hook of the training loop that records how many damaged records were met, once there are any.

    Readers work ahead of the step, so the number may be that of a few steps later.

    Args:
        stage: "stage1" or "stage2".
        earlier: records of the run, of which a resumed run goes on counting.
        write: receives a record.
    """
    name = f"{stage}/train/damaged_records"
    known: dict[str, str] = {}
    for record in earlier:
        if record.name == name:
            known |= (record.extra or {}).get("names", {})

    def hook(step: int, *ignored: object) -> None:
        known.update(stream.faults())
        if known:
            named = dict(sorted(known.items())[:_NAMED])
            extra = {"names": named}
            write([Record(step, stage, name, len(known), "records", {"split": "train"}, None, extra)])

    return hook
