"""The run directory: the one place that knows its files.

spec.yaml        the spec as given, byte for byte
resolved.yaml    the spec with every default written out
manifest.json    versions, spec hash, components, hardware, command, start time
metrics.jsonl    one record a line (`ulzoo.records`)
timings.jsonl    how long each part took, one line for each process that worked on it
status.json      which parts are finished
checkpoints/     stage1, stage2
samples/
blackbox/        one folder for each step that was not finite and stopped training (`ulzoo.blackbox`)
latents/         what stage 2 read, where the run encoded it once (`stage2.encode_once`)
examples/        originals and reconstructions of a few images, predictions of a few clips
report.html      all of it on one page
.lock            held by the process that writes
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any

from ulzoo.atomic import write_atomic
from ulzoo.environment import environment
from ulzoo.errors import RunError
from ulzoo.records import MetricsFile, Record
from ulzoo.run_folder import fresh_folder, refuse_taken, take_lock
from ulzoo.trackers.base import Picture, Trackers

_WRITTEN_AT_CREATION = ("spec.yaml", "resolved.yaml", "manifest.json")


class Run:
    """An open run directory. Made by `Run.create` or `Run.open`; a context manager.

    Attributes:
        directory: where it is.
        writable: whether this object holds the run's lock; without it nothing is written but samples.
        follows: whether another process of the same run writes; what this one is told to write is dropped.
    """

    def __init__(self, directory: Path, lock: TextIOWrapper | None, *, follows: bool = False) -> None:
        self.directory = directory
        self.follows = follows
        self._lock = lock
        self._metrics = MetricsFile(directory / "metrics.jsonl")
        self._trackers: Trackers | None = None

    @classmethod
    def create(
        cls,
        directory: str | Path | None,
        *,
        name: str,
        spec_text: str,
        resolved_text: str,
        spec_hash: str,
        components: Mapping[str, str],
        devices: Sequence[str] = (),
        command: Sequence[str] = (),
        root: str | Path = "runs",
        now: datetime | None = None,
    ) -> Run:
        """Makes a run directory and takes its lock.

        Args:
            directory: absent or empty; None means `<root>/<date>-<time>-<name>`, made unique.
            name: of the spec, for that folder's name.
            spec_text: as given, kept verbatim.
            resolved_text: with defaults written out.
            spec_hash: the canonical hash of the resolved spec: the experiment's identity.
            components: component name → distribution and version that it came from.
            devices: what the arrays live on, such as ("cpu:0",).
            command: the command line, `sys.argv` usually.
            now: for the folder's name and the manifest; the present by default.

        Raises:
            RunError: the directory is taken or cannot be made.
        """
        started = (now or datetime.now().astimezone()).astimezone()
        try:
            path = fresh_folder(Path(root), started, name) if directory is None else Path(directory)
            path.mkdir(parents=True, exist_ok=True)
            lock = take_lock(path)
        except OSError as error:
            place = directory or root
            raise RunError(f"{place}: cannot make a run directory: {error.strerror or error}") from error
        run = cls(path, lock)
        try:
            refuse_taken(path)
            for folder in (run.samples, run.checkpoints(1), run.checkpoints(2)):
                folder.mkdir(parents=True)
            write_atomic(path / "spec.yaml", spec_text)
            write_atomic(path / "resolved.yaml", resolved_text)
            manifest = {
                **environment(devices=devices, command=command),
                "started": started.astimezone(UTC).isoformat(timespec="seconds"),
                "spec_hash": spec_hash,
                "components": dict(components),
            }
            # Last: a directory without it was never a run.
            write_atomic(path / "manifest.json", _json(manifest))
        except BaseException:
            run.close()
            raise
        return run

    @staticmethod
    def refuse_taken(directory: str | Path) -> None:
        """What `create` would refuse, without making anything: a mistake is cheaper before any work.

        Raises:
            RunError: the directory is taken, or is a file.
        """
        path = Path(directory)
        if path.is_dir():
            refuse_taken(path)
        elif path.exists():
            raise RunError(f"{path}: cannot make a run directory: there is a file of this name")

    @classmethod
    def open(cls, directory: str | Path, *, write: bool = False, follow: bool = False) -> Run:
        """Opens a run directory that is there.

        Args:
            write: take the lock, to continue the run or to add to its metrics; without it any number of
                processes may read, also beside one that writes.
            follow: train along with the process that has the lock, and leave writing to it.

        Raises:
            RunError: it is missing or incomplete, or, with `write`, in use by another process.
        """
        path = Path(directory)
        if not path.is_dir():
            raise RunError(f"{path}: no such run directory")
        missing = [name for name in _WRITTEN_AT_CREATION if not (path / name).is_file()]
        if missing:
            raise RunError(f"{path}: not a run directory: {', '.join(missing)} missing")
        try:
            lock = take_lock(path) if write else None
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
        run = cls(path, lock, follows=follow)
        try:
            run.manifest()
            run.finished()
        except RunError:
            run.close()
            raise
        return run

    @property
    def writable(self) -> bool:
        return self._lock is not None

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files and trackers and gives the lock back."""
        self._metrics.close()
        if self._trackers is not None:
            self._trackers.close()
            self._trackers = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # ---- places ---------------------------------------------------------------------------------

    @property
    def spec_path(self) -> Path:
        return self.directory / "spec.yaml"

    @property
    def resolved_path(self) -> Path:
        return self.directory / "resolved.yaml"

    @property
    def samples(self) -> Path:
        return self.directory / "samples"

    @property
    def examples(self) -> Path:
        return self.directory / "examples"

    @property
    def report_path(self) -> Path:
        return self.directory / "report.html"

    @property
    def black_boxes(self) -> Path:
        return self.directory / "blackbox"

    def checkpoints(self, stage: int) -> Path:
        """Folder of the checkpoints of stage 1 or 2."""
        return self.directory / "checkpoints" / f"stage{stage}"

    def manifest(self) -> dict[str, Any]:
        """What `create` wrote into manifest.json. Raises RunError if it is damaged."""
        return _read_json(self.directory / "manifest.json")

    def manifest_entry(self, name: str) -> Any:
        """One entry of the manifest, such as `spec_hash`. Raises RunError if it is damaged or lacks it."""
        manifest = self.manifest()
        if name not in manifest:
            raise RunError(f"{self.directory / 'manifest.json'}: damaged: no {name}")
        return manifest[name]

    # ---- metrics --------------------------------------------------------------------------------

    def append(self, records: Iterable[Record]) -> None:
        """Appends records to metrics.jsonl, one line each, and flushes.

        Raises:
            RunError: the run is open for reading only.
        """
        if not self._writes():
            return
        records = list(records)
        self._metrics.append(records)
        if self._trackers is not None:
            self._trackers.records(records)

    def replace(self, records: Sequence[Record]) -> None:
        """Appends records, after dropping those of the same stages, steps and names.

        For what may have been measured before, by a process that was killed before it could say so.

        Raises:
            RunError: the run is open for reading only, or a line is not a record.
        """
        if not self._writes():
            return
        new = {(record.stage, record.step, record.name) for record in records}
        self._metrics.keep(lambda record: (record.stage, record.step, record.name) not in new)
        self.append(records)

    def order_by_stage(self) -> None:
        """Records of stage 1 before those of stage 2, as if nothing of it had been done again."""
        if self._writes():
            self._metrics.order_by_stage()

    def records(self) -> list[Record]:
        """All records, in order, but half a line at the end. Raises RunError if a line is not a record."""
        return self._metrics.records()

    def readable_records(self) -> tuple[list[Record], list[str]]:
        """As `records`, leaving out lines that are not records, and one sentence for each of these."""
        return self._metrics.readable()

    def truncate_after(self, stage: str, step: int) -> None:
        """Forgets the records of `stage` of later steps than `step`, and half a line at the end.

        A resumed stage writes them again; without this they would be there twice.

        Raises:
            RunError: the run is open for reading only, or a line is not a record.
        """
        if not self._writes():
            return
        self._metrics.truncate_after(stage, step)
        if self._trackers is not None:
            self._trackers.resume(stage, step)

    # ---- trackers and timings ---------------------------------------------------------------------

    @property
    def tracked(self) -> bool:
        """Whether `track` was called."""
        return self._trackers is not None

    def track(self, trackers: Trackers) -> None:
        """From now on they are told what this run is told, and they are closed with it."""
        self._trackers = trackers

    def show(self, pictures: Sequence[Picture]) -> None:
        """Tells the trackers of pictures; their files are the caller's."""
        if self._trackers is not None:
            self._trackers.pictures(pictures)

    def note_timing(self, timing: Mapping[str, Any]) -> None:
        """Appends one line to timings.jsonl.

        Raises:
            RunError: the run is open for reading only.
        """
        if not self._writes():
            return
        with (self.directory / "timings.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(timing), ensure_ascii=False) + "\n")

    def timings(self) -> list[dict[str, Any]]:
        """What `note_timing` was told, in order; lines that a crash cut are left out."""
        path = self.directory / "timings.jsonl"
        found = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
            with suppress(ValueError):
                found.append(json.loads(line))
        return [timing for timing in found if isinstance(timing, dict)]

    # ---- status ---------------------------------------------------------------------------------

    def finished(self) -> tuple[str, ...]:
        """Parts that `mark_finished` was told of, in order. Raises RunError if status.json is damaged."""
        path = self.directory / "status.json"
        if not path.exists():
            return ()
        parts = _read_json(path).get("finished")
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise RunError(f"{path}: damaged: no list of finished parts")
        return tuple(parts)

    def mark_finished(self, part: str) -> None:
        """Notes, atomically, that a part such as "stage1" needs no more work; once is enough.

        Raises:
            RunError: the run is open for reading only.
        """
        if not self._writes():
            return
        parts = self.finished()
        if part not in parts:
            write_atomic(self.directory / "status.json", _json({"finished": [*parts, part]}))

    def mark_unfinished(self, *parts: str) -> None:
        """Takes back that these parts need no more work.

        Raises:
            RunError: the run is open for reading only.
        """
        if self._writes():
            left = [part for part in self.finished() if part not in parts]
            write_atomic(self.directory / "status.json", _json({"finished": left}))

    def _writes(self) -> bool:
        if not self.writable and not self.follows:
            raise RunError(f"{self.directory}: opened for reading only")
        return self.writable


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: {f'damaged: {error}' if path.exists() else 'missing'}") from error
    if not isinstance(data, dict):
        raise RunError(f"{path}: damaged: not a table")
    return data
