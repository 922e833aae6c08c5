"""Checkpoints of a training state: saved in the background, restored strictly or not at all.

The only module that knows Orbax. Orbax by itself restores part of a tree, casts dtypes and returns flipped
bits without a word; so a table of all leaves is saved beside the arrays and compared before anything is read,
and every file has a checksum.
"""

from __future__ import annotations

import json
import logging
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from ulzoo.checksums import damage, seal
from ulzoo.errors import CheckpointError, DamageError
from ulzoo.leaf_table import (
    LeafTable,
    by_part,
    entry_differences,
    from_json,
    indented,
    leaf_table,
    named_leaves,
    part_of,
    table_differences,
    to_json,
)
from ulzoo.records import to_json_number
from ulzoo.retention import Ranking, Retention
from ulzoo.undisturbed import undisturbed

_STEP = re.compile(r"step_(\d{8,})")
_MANIFEST = "manifest"
"""Name of the JSON item; a state's field cannot have it."""
_WRITE_ERRORS = (OSError, ValueError)
"""What a full or failing disk becomes on its way through Orbax (OSError) and TensorStore (ValueError)."""


class Checkpoints:
    """The checkpoints of one stage, in one directory of a POSIX file system.

    A step is a directory `step_00000300` with one folder for each top-level field of the state and a
    manifest. It has its name only once all of it is on disk, so a process may be killed at any moment.

    Args:
        directory: made if absent, unless `read_only`.
        retention: which finished steps stay; others are deleted as new ones are saved.
        read_only: never write or delete; safe beside a process that is training.
    """

    def __init__(
        self, directory: str | Path, *, retention: Retention | None = None, read_only: bool = False
    ) -> None:
        # Orbax tells its every move through absl's logger, and each error once for each of its threads.
        logging.getLogger("absl").setLevel(logging.CRITICAL)
        self.directory = Path(directory).absolute()
        self._retention = Retention() if retention is None else retention
        self._read_only = read_only
        self._manager: ocp.CheckpointManager | None = None
        self._parts: frozenset[str] = frozenset()
        # A manager is waited for, and its files are sealed, by a thread: the training loop goes on meanwhile.
        self._finishing: Future[None] | None = None
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._scores: dict[int, float] = {}

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- writing --------------------------------------------------------------------------------

    def save(
        self, step: int, state: Any, manifest: Mapping[str, Any], *, scores: Mapping[str, float] | None = None
    ) -> None:
        """Starts to save; returns once the arrays may be donated, before they are on disk.

        Waits for the save before it, if that is still going on.

        Args:
            step: above every step that is already here.
            state: a pytree of JAX arrays (typed PRNG keys and None holes too) whose root has named fields.
            manifest: JSON data saved with it: what `restore` shall insist on, and whatever else a resumed
                run must know.
            scores: values of metrics at this step, saved with it, by which steps are ranked.

        Raises:
            CheckpointError: the directory has this step or a later one, or cannot be written.
            TypeError: a leaf is not a JAX array.
        """
        if self._read_only:
            raise CheckpointError(f"{self.directory}: opened for reading only")
        leaves = named_leaves(state)
        # Orbax refuses arrays without elements; the leaf table is all there is to know about them.
        parts = by_part({name: leaf for name, leaf in leaves.items() if leaf.size})
        if _MANIFEST in parts or "" in parts:
            raise ValueError(f"a state must have named fields, none of them called {_MANIFEST!r}")
        self.wait()
        latest = self.latest()
        if latest is not None and step <= latest:
            # Orbax would skip the save without saying so.
            raise CheckpointError(
                f"{self.directory}: cannot save step {step}, step {latest} is already there"
            )
        items: dict[str, Any] = {part: ocp.args.PyTreeSave(arrays) for part, arrays in parts.items()}
        described = {
            "manifest": dict(manifest),
            "leaves": to_json(leaf_table(leaves)),
            "scores": {name: to_json_number(value) for name, value in (scores or {}).items()},
        }
        items[_MANIFEST] = ocp.args.JsonSave(described)
        with undisturbed():
            try:
                manager = self._writer(frozenset(parts))
                self._note_scores(step, scores or {})
                manager.save(step, args=ocp.args.Composite(**items), force=True)
            except _WRITE_ERRORS as error:
                raise CheckpointError(f"{self.directory}: cannot save step {step}: {error}") from error
            self._finishing = self._threads.submit(self._finish, manager, step)

    def wait(self) -> None:
        """Returns once everything saved is on disk. Raises CheckpointError if it could not be written."""
        with undisturbed():
            finishing, self._finishing = self._finishing, None
            try:
                if finishing is not None:
                    finishing.result()
            except CheckpointError:
                # A manager whose save failed says so again whatever it is asked for.
                self._manager = None
                raise

    def _finish(self, manager: ocp.CheckpointManager, step: int) -> None:
        try:
            manager.wait_until_finished()
            manager.check_for_errors()
            if jax.process_index() == 0:
                seal(self._folder(step))
        except _WRITE_ERRORS as error:
            raise CheckpointError(f"{self.directory}: cannot save step {step}: {error}") from error

    def _note_scores(self, step: int, scores: Mapping[str, float]) -> None:
        """What the retention needs to know of all steps, of earlier sessions too."""
        ranking = self._retention.ranking
        if ranking is None:
            return
        for saved in self.steps():
            if saved not in self._scores:
                self._scores[saved] = self._score(saved, ranking)
        self._scores[step] = scores.get(ranking.metric, math.nan)

    def close(self) -> None:
        """Waits, and ends the background threads. A closed object can still be read from."""
        with undisturbed():
            try:
                self.wait()
            finally:
                self._threads.shutdown()
                if self._manager is not None:
                    self._manager.close()
                    self._manager = None

    # ---- reading --------------------------------------------------------------------------------

    def steps(self) -> list[int]:
        """Finished steps, rising."""
        if not self.directory.is_dir():
            return []
        matches = (_STEP.fullmatch(path.name) for path in self.directory.iterdir() if path.is_dir())
        return sorted(int(match[1]) for match in matches if match)

    def latest(self) -> int | None:
        """The highest finished step, whatever the files' times say; None without any."""
        return max(self.steps(), default=None)

    def best(self, ranking: Ranking) -> int | None:
        """The best finished step by a metric; None if no step has it. What cannot be read is not the best."""
        scores = {step: self._score(step, ranking) for step in self.steps()}
        return next(iter(ranking.best(scores)), None)

    def _score(self, step: int, ranking: Ranking) -> float:
        """NaN where a step has none, or is damaged: who restores it is told."""
        try:
            return self.scores(step).get(ranking.metric, math.nan)
        except DamageError:
            return math.nan

    def manifest(self, step: int) -> dict[str, Any]:
        """What `save` was given as manifest. Raises CheckpointError if the step is missing or damaged."""
        return dict(self._json(step)["manifest"])

    def scores(self, step: int) -> dict[str, float]:
        """What `save` was given as scores. Raises CheckpointError if the step is missing or damaged."""
        return {name: float(value) for name, value in self._json(step).get("scores", {}).items()}

    def restore(self, step: int, abstract_state: Any, expect: Mapping[str, Any]) -> Any:
        """The whole state of a step.

        Args:
            abstract_state: the same pytree with `jax.ShapeDtypeStruct`s, with shardings, in place of arrays.
            expect: entries that the saved manifest must have with the same value (nested tables: entry by
                entry, and none more).

        Raises:
            DamageError: files of the step are missing, cut or changed.
            CheckpointError: there is no such step; or its leaves, shapes, dtypes or manifest are others than
                expected. The message names them; nothing has been read then.
            ValueError: a leaf has no sharding.
        """
        return self._restore(step, named_leaves(abstract_state), None, abstract_state, expect)

    def restore_latest(
        self, abstract_state: Any, expect: Mapping[str, Any]
    ) -> tuple[int, Any, list[DamageError]] | None:
        """The latest step that is whole, its state, and what is wrong with those after it; None without any.

        Damaged steps are kept under another name, `damaged-step_00000300`, so that training can save these
        steps again.

        Raises:
            DamageError: there are steps, and none is whole; nothing is renamed.
            CheckpointError: as `restore`; a step of another model or spec is never passed over.
        """
        if self._read_only:
            raise CheckpointError(f"{self.directory}: opened for reading only")
        faults: dict[int, DamageError] = {}
        for step in reversed(self.steps()):
            try:
                state = self.restore(step, abstract_state, expect)
            except DamageError as error:
                faults[step] = error
                continue
            for damaged in faults:
                self._set_aside(damaged)
            return step, state, list(faults.values())
        if faults:
            raise next(iter(faults.values()))
        return None

    def _set_aside(self, step: int) -> None:
        """Renames a step's folder; one of this name is there where the step was damaged before."""
        if jax.process_index():
            return
        aside = self.directory / f"damaged-{self._folder(step).name}"
        try:
            shutil.rmtree(aside, ignore_errors=True)
            self._folder(step).rename(aside)
        except OSError as error:
            raise CheckpointError(f"{self._folder(step)}: cannot be renamed: {error}") from error

    def restore_part(
        self, step: int, part: str, abstract: Any, expect: Mapping[str, Any] | None = None
    ) -> Any:
        """One top-level field of the state; only its files are read. Otherwise as `restore`."""
        leaves = named_leaves({part: abstract})
        return self._restore(step, leaves, part, abstract, expect or {})

    def _restore(
        self, step: int, leaves: dict[str, Any], part: str | None, tree: Any, expect: Mapping[str, Any]
    ) -> Any:
        homeless = [name for name, leaf in leaves.items() if leaf.sharding is None]
        if homeless:
            raise ValueError(f"restore needs a sharding for every leaf; {homeless[0]} has none")
        manifest, saved = self._described(step)
        if part is not None:
            saved = {name: leaf for name, leaf in saved.items() if part_of(name) == part}
        # Once through JSON, as the saved one went, so that a tuple equals the list that it became.
        expected = json.loads(json.dumps(dict(expect)))
        differences = entry_differences(manifest, expected) + table_differences(saved, leaf_table(leaves))
        if differences:
            raise CheckpointError(
                f"{self._folder(step)}: this checkpoint is of another model or spec:{indented(differences)}"
            )
        wanted = by_part({name: leaf for name, leaf in leaves.items() if leaf.size})
        damaged = damage(self._folder(step), (*wanted, _MANIFEST))
        if damaged:
            raise DamageError(f"{self._folder(step)}: damaged:{indented(damaged)}")
        arrays = {
            name: jax.device_put(jnp.zeros(leaf.shape, leaf.dtype), leaf.sharding)
            for name, leaf in leaves.items()
            if not leaf.size
        }
        for name, abstract in wanted.items():
            arrays |= self._read_part(step, name, abstract)
        read = table_differences(leaf_table(arrays), leaf_table(leaves))
        if read:
            raise DamageError(f"{self._folder(step)}: the arrays differ from the manifest:{indented(read)}")
        return jax.tree.unflatten(jax.tree.structure(tree), [arrays[name] for name in leaves])

    def _read_part(self, step: int, part: str, abstract: dict[str, Any]) -> dict[str, Any]:
        arguments = ocp.args.PyTreeRestore(
            item=abstract, restore_args=ocp.checkpoint_utils.construct_restore_args(abstract)
        )
        folder = self._folder(step) / part
        try:
            return ocp.Checkpointer(_array_handler()).restore(folder, args=arguments)
        except Exception as error:
            # Orbax and TensorStore raise errors of many types for files that are missing, cut or changed.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DamageError(f"{folder}: cannot be read: {reason}") from error

    def _described(self, step: int) -> tuple[dict[str, Any], LeafTable]:
        data = self._json(step)
        return dict(data["manifest"]), from_json(data["leaves"])

    def _json(self, step: int) -> dict[str, Any]:
        """The JSON item of a step, of which manifest and leaves can be read."""
        folder = self._folder(step)
        if not folder.is_dir():
            there = ", ".join(map(str, self.steps())) or "none"
            raise CheckpointError(f"{self.directory}: no finished checkpoint of step {step}; there: {there}")
        try:
            data = ocp.Checkpointer(ocp.JsonCheckpointHandler()).restore(folder / _MANIFEST)
            dict(data["manifest"])
            from_json(data["leaves"])
            return data
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DamageError(f"{folder}: damaged, its manifest cannot be read: {reason}") from error

    # ---- Orbax ----------------------------------------------------------------------------------

    def _folder(self, step: int) -> Path:
        return self.directory / f"step_{step:08d}"

    def _writer(self, parts: frozenset[str]) -> ocp.CheckpointManager:
        """Orbax fixes a manager's items at its start, so it is made when the first state is seen."""
        if self._manager is not None and parts != self._parts:
            self._manager.close()
            self._manager = None
        if self._manager is None:
            registry = ocp.DefaultCheckpointHandlerRegistry()
            for part in parts:
                registry.add(part, ocp.args.PyTreeSave, _array_handler())
            registry.add(_MANIFEST, ocp.args.JsonSave, ocp.JsonCheckpointHandler())
            options = ocp.CheckpointManagerOptions(
                preservation_policy=_Preservation(self._retention, self._scores),
                step_prefix="step",
                step_format_fixed_length=8,
                cleanup_tmp_directories=True,
                # Else a folder that cannot be made leaves threads, and so the process, waiting for it.
                async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
            )
            self.directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(self.directory, options=options, handler_registry=registry)
            self._parts = parts
        return self._manager


@dataclass(frozen=True)
class _Preservation:
    """A retention in Orbax's words."""

    retention: Retention
    scores: Mapping[int, float]

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        kept = self.retention.kept([info.step for info in checkpoints], self.scores)
        return [info.step in kept for info in checkpoints]


def _array_handler() -> ocp.PyTreeCheckpointHandler:
    # Weights hardly compress (8 % at a third of the speed).
    return ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=True, use_compression=False)
