"""TensorBoard event files, written by tensorboardX, which needs neither TensorFlow nor TensorBoard."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ulzoo.records import Record
from ulzoo.spec.component import Component
from ulzoo.trackers.base import Picture, Tracker, TrackerIO, require

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter


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
        self._open: dict[str, EventsWriter] = {}

    def resume(self, stage: str, step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.summary import text

        if stage in self._open:
            self._open.pop(stage).close()
        if self._files(stage):
            # Readers drop what earlier files tell of this step and later ones.
            start = SessionLog(status=SessionLog.START)
            self._write(stage, [Event(step=step + 1, session_log=start, wall_time=time.time())])
        else:
            spec = "    " + json.dumps(self._spec, indent=2).replace("\n", "\n    ")
            self._summaries(stage, [(0, text("spec", spec))])

    def records(self, records: Sequence[Record]) -> None:
        from tensorboardX.summary import scalar

        for stage, group in groupby(records, key=lambda record: record.stage):
            self._summaries(
                stage, [(r.step, scalar(r.name, r.value, summary_description=_words(r))) for r in group]
            )

    def pictures(self, pictures: Sequence[Picture]) -> None:
        from tensorboardX.summary import image

        for picture in pictures:
            shown = image(picture.name, picture.image, dataformats="HWC")
            self._summaries(picture.stage, [(picture.step, shown)])

    def close(self) -> None:
        for writer in self._open.values():
            writer.close()
        self._open = {}

    def _summaries(self, stage: str, summaries: Sequence[tuple[int, Any]]) -> None:
        from tensorboardX.proto.event_pb2 import Event

        now = time.time()
        self._write(stage, [Event(step=step, summary=one, wall_time=now) for step, one in summaries])

    def _write(self, stage: str, events: Sequence[Any]) -> None:
        # Not tensorboardX's SummaryWriter, which writes from a thread: a checkpoint follows its records, and
        # what is before a checkpoint must not be lost with a process that is killed.
        from tensorboardX.event_file_writer import EventsWriter

        if stage not in self._open:
            # The name has the time in whole seconds; the number keeps a quick successor from the same name.
            number = len(self._files(stage))
            (self._folder / stage).mkdir(parents=True, exist_ok=True)
            self._open[stage] = EventsWriter(str(self._folder / stage / "events"), f".{number}")
        for event in events:
            self._open[stage].write_event(event)
        self._open[stage].flush()

    def _files(self, stage: str) -> list[Path]:
        return list((self._folder / stage).glob("events.out.tfevents.*"))


def _words(record: Record) -> str:
    """Unit, and "upper bound" or "proxy" for a rate."""
    return ", ".join(filter(None, (record.unit, str(record.protocol.get("rate", "")))))
