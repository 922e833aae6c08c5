"""TensorBoard event files, written by tensorboardX, which needs neither TensorFlow nor TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ulzoo.records import Record
from ulzoo.spec.component import Component
from ulzoo.trackers.base import Picture, Tracker, TrackerIO, require

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter


class TensorBoardConfig(Component):
    """TensorBoard event files in the run directory; needs the extra `tensorboard`."""

    type: Literal["ulzoo.tensorboard.v1"] = "ulzoo.tensorboard.v1"

    def check(self) -> None:
        """Raises InterfaceError if tensorboardX is not installed."""
        require("tensorboardX", "tensorboard")

    def build(self, io: TrackerIO, *, key: object = None) -> Tracker:
        """A tracker that writes to `tensorboard/` in the run directory."""
        self.check()
        return TensorBoard(io)


class TensorBoard:
    """Implements `ulzoo.trackers.base.Tracker`; one folder of events for each stage.

    One for each, because TensorBoard forgets by step, whatever the name: a resumed stage must not take the
    other one's numbers with it.
    """

    def __init__(self, io: TrackerIO) -> None:
        self._folder = io.directory / "tensorboard"
        self._spec = io.spec
        self._writers: dict[str, SummaryWriter] = {}

    def resume(self, stage: str, step: int) -> None:
        if stage in self._writers:
            self._writers.pop(stage).close()
        again = bool(self._files(stage))
        # Readers drop what earlier files tell of this step and later ones.
        writer = self._open(stage, {"purge_step": step + 1} if again else {})
        if not again:
            writer.add_text("spec", "    " + json.dumps(self._spec, indent=2).replace("\n", "\n    "), 0)

    def records(self, records: Sequence[Record]) -> None:
        for record in records:
            words = [record.unit, str(record.protocol.get("rate", ""))]
            self._writer(record.stage).add_scalar(
                record.name, record.value, record.step, summary_description=", ".join(filter(None, words))
            )
        # A checkpoint follows its records: what is before it must not be lost with a process that is killed.
        for stage in {record.stage for record in records}:
            self._writers[stage].flush()

    def pictures(self, pictures: Sequence[Picture]) -> None:
        for picture in pictures:
            self._writer(picture.stage).add_image(
                picture.name, picture.image, picture.step, dataformats="HWC"
            )

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _writer(self, stage: str) -> SummaryWriter:
        return self._writers[stage] if stage in self._writers else self._open(stage, {})

    def _open(self, stage: str, options: dict[str, Any]) -> SummaryWriter:
        from tensorboardX import SummaryWriter

        # The name has the time in whole seconds; the number keeps a quick successor from the same name.
        self._writers[stage] = SummaryWriter(
            str(self._folder / stage),
            filename_suffix=f".{len(self._files(stage))}",
            **options,
        )
        return self._writers[stage]

    def _files(self, stage: str) -> list[Path]:
        return list((self._folder / stage).glob("events.out.tfevents.*"))
