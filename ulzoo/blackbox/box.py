"""The files of a black box: what is known of a step that was not finite, and the state before it.

blackbox/stage1-00000123/
    blackbox.json       everything but the state; rewritten as more is known
    state/              a checkpoint of the step before
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ulzoo.atomic import write_atomic
from ulzoo.errors import RunError
from ulzoo.records import to_json_number
from ulzoo.run import Run

_NAME = "blackbox.json"


@dataclass(frozen=True)
class BlackBox:
    """A step that was not finite.

    Attributes:
        stage: 1 or 2.
        step: the first step whose loss, gradient or new weights are not finite.
        noticed: the step at which training noticed; later only if the metrics of `step` were finite.
        metrics: of the step at which training noticed.
        policy: `nonfinite` of the stage.
        precision: of the run.
        spec_hash: the experiment's identity.
        device: kind and number of devices.
        key: the stage's key, as whole numbers, and its generator; the step folds its number into it.
        records: indices of the step's records in its split; empty until the step was played again.
        content: CRC-32 of the batch.
        start: step of the checkpoint that the step can be reached from; None: the stage's beginning.
        state: whether the state before the step is in the box.
        origins: by precision, where the first value came from that is not finite (`Origin.as_dict`), None
            where none was found.
        fault: why the box is not complete, "" if it is.
    """

    stage: int
    step: int
    noticed: int
    metrics: Mapping[str, float]
    policy: str
    precision: str
    spec_hash: str
    device: str
    key: Mapping[str, Any]
    records: tuple[int, ...] = ()
    content: int | None = None
    start: int | None = None
    state: bool = False
    origins: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    fault: str = ""

    def folder(self, run: Run) -> Path:
        return run.black_boxes / f"stage{self.stage}-{self.step:08d}"

    def states(self, run: Run) -> Path:
        """Folder of the checkpoint of the step before."""
        return self.folder(run) / "state"

    def write(self, run: Run, **changes: Any) -> BlackBox:
        """Writes the facts, with changes, and gives them back. Raises OSError."""
        box = replace(self, **changes)
        box.folder(run).mkdir(parents=True, exist_ok=True)
        data = asdict(box) | {"metrics": {name: to_json_number(value) for name, value in box.metrics.items()}}
        text = json.dumps(_plain(data), indent=2, ensure_ascii=False, allow_nan=False)
        write_atomic(box.folder(run) / _NAME, text + "\n")
        return box


def read_boxes(run: Run, stage: int | None = None) -> list[BlackBox]:
    """The black boxes of a run, the one that was written last at the end.

    Raises:
        RunError: one of them is damaged.
    """
    paths = sorted(run.black_boxes.glob(f"stage*-*/{_NAME}"), key=lambda path: path.stat().st_mtime_ns)
    boxes = [_read(path) for path in paths]
    return [box for box in boxes if stage in (None, box.stage)]


def _read(path: Path) -> BlackBox:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        data["metrics"] = {name: float(value) for name, value in data["metrics"].items()}
        data["records"] = tuple(int(index) for index in data["records"])
        return BlackBox(**data)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{path}: damaged: {error}") from error


def _plain(data: Any) -> Any:
    """Numbers that JSON has not, as text."""
    if isinstance(data, Mapping):
        return {name: _plain(value) for name, value in data.items()}
    return to_json_number(data) if isinstance(data, float) else data
