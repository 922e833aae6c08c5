"""Whether a stage that goes on reads the records that it was trained on before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ulzoo.data.source import Source
from ulzoo.errors import DataError

_RECORDS, _FINGERPRINT = "data_records", "data_fingerprint"


def same_records(saved: Mapping[str, Any], source: Source, stage: int) -> dict[str, Any]:
    """What a checkpoint notes of the records it was trained on.

    The order of records is drawn from their number: with one more, all that follows would be another run.

    Args:
        saved: manifest of the checkpoint that the stage goes on from, empty at its start.

    Raises:
        DataError: the data has changed since that checkpoint.
    """
    now: dict[str, Any] = {_RECORDS: len(source), _FINGERPRINT: source.fingerprint()}
    # Checkpoints of earlier versions say nothing of it.
    was = {key: value for key, value in saved.items() if key in now}
    if any(now[key] != value for key, value in was.items()):
        counts = f"{was.get(_RECORDS)} records then, {now[_RECORDS]} now"
        if was.get(_RECORDS) == now[_RECORDS]:
            counts = f"as many records, {now[_RECORDS]}, but other ones"
        raise DataError(
            f"the data of stage {stage} has changed since the checkpoint to go on from: {counts}\n"
            "    put back what was there, or start a new run: this one would look like an undisturbed one"
        )
    return now
