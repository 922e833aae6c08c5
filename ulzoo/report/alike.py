"""Which numbers of several runs were measured alike, and what differs where they were not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ulzoo.records import Record
from ulzoo.report.numbers import flat
from ulzoo.report.reading import RunData

OF_THE_MODEL = frozenset({"spec_hash", "ema", "training_seed", "training_steps", "hardware"})
"""Entries of a protocol that say what was measured, not how: runs that are compared differ in them."""

OF_THE_PLACE = frozenset({"root", "heldout_root", "csv", "heldout_csv", "captions", "timeout"})
"""Fields of `data` that say where records lie or how long they are waited for. Which records they are the
fingerprints say; of numbers without any, the place must do."""

UNIT = "unit"


@dataclass(frozen=True)
class SideBySide:
    """One measured number of several runs.

    Attributes:
        name: of the record.
        records: of each run; None where it was not measured.
        differs: entries of the protocols that differ, with each run's value ("" where it was not measured);
            empty if the numbers may be compared.
    """

    name: str
    records: tuple[Record | None, ...]
    differs: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def measured(self) -> list[Record]:
        """Those that are there."""
        return [record for record in self.records if record is not None]

    @property
    def units(self) -> str:
        """The unit, or units; nothing for a ratio."""
        return " / ".join(dict.fromkeys("" if r.unit == "1" else r.unit for r in self.measured))

    @property
    def comparable(self) -> bool:
        """Whether two runs or more have the number, all of them measured alike."""
        return len(self.measured) > 1 and not self.differs


def side_by_side(runs: Sequence[RunData]) -> list[SideBySide]:
    """Measured numbers of all runs, in the order of the first run that has each."""
    names = dict.fromkeys(name for run in runs for name in run.measured)
    return [_row(name, tuple(run.measured.get(name) for run in runs)) for name in names]


def _row(name: str, records: tuple[Record | None, ...]) -> SideBySide:
    protocols = [None if record is None else flat(record.protocol) for record in records]
    known = [protocol for protocol in protocols if protocol is not None]
    fingerprints = all(any(field.startswith("records.") for field in protocol) for protocol in known)
    fields = dict.fromkeys(
        field
        for protocol in known
        for field in protocol
        if field not in OF_THE_MODEL and not (fingerprints and _of_the_place(field))
    )

    def differ(field: str) -> bool:
        return len({protocol.get(field) for protocol in known}) > 1

    differs = []
    for field in fields:
        if differ(field) and not any(differ(f"{part}.type") for part in _around(field)):
            values = ("" if one is None else one.get(field, "none") for one in protocols)
            differs.append((field, tuple(values)))
    if len({record.unit for record in records if record is not None}) > 1:
        differs.append((UNIT, tuple("" if record is None else record.unit for record in records)))
    return SideBySide(name, records, tuple(differs))


def _of_the_place(field: str) -> bool:
    return field.startswith("data.") and field.rpartition(".")[2] in OF_THE_PLACE


def _around(field: str) -> list[str]:
    """What a field is part of: of components of two types only the types are told, not the fields of each."""
    parts = field.removesuffix(".type").split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]
