"""Weights & Biases. Offline unless the spec says otherwise: `wandb sync` sends what was written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from ulzoo.atomic import write_atomic
from ulzoo.records import Record
from ulzoo.spec.component import Component
from ulzoo.trackers.base import Picture, Tracker, TrackerIO, require


class WandbConfig(Component):
    """Weights & Biases, offline by default; needs the extra `wandb`."""

    type: Literal["ulzoo.wandb.v1"] = "ulzoo.wandb.v1"

    project: str = Field(default="ulzoo", min_length=1)
    """Project that the run is shown in."""

    entity: str | None = None
    """User or team; null: the account's own."""

    mode: Literal["offline", "online"] = "offline"
    """`offline`: files under `wandb/` in the run directory and no network; `online`: sent while training."""

    def check(self) -> None:
        """Raises InterfaceError if wandb is not installed."""
        require("wandb", "wandb")

    def build(self, io: TrackerIO, *, key: object = None) -> Tracker:
        """A tracker that starts a wandb run, or goes on with the one that an earlier process started."""
        self.check()
        return Wandb(io, self)


class Wandb:
    """Implements `ulzoo.trackers.base.Tracker`.

    Both stages count steps from 0, and wandb's own count only rises: numbers are plotted over a step of their
    stage. wandb cannot forget, so records that a resumed stage gives a second time are left out; a resumed
    stage repeats them exactly.
    """

    def __init__(self, io: TrackerIO, config: WandbConfig) -> None:
        import wandb

        self._image = wandb.Image
        self._state_path = io.directory / "wandb" / "ulzoo.json"
        self._state_path.parent.mkdir(exist_ok=True)
        known = json.loads(self._state_path.read_text()) if self._state_path.exists() else {}
        self._told: dict[str, int] = known.get("told", {})
        self._new: dict[str, int] = {}
        self._run = wandb.init(
            project=config.project,
            entity=config.entity,
            name=io.name,
            dir=str(io.directory),
            id=known.get("id"),
            resume="allow" if known else None,
            mode=config.mode,
            config={"spec": dict(io.spec), "spec_hash": io.spec_hash},
            # A process may make several runs; and a run is what the spec says, not what lies around it.
            reinit="create_new",
            save_code=False,
            settings=wandb.Settings(
                console="off",
                disable_git=True,
                silent=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
            ),
        )
        for stage in ("stage1", "stage2"):
            self._run.define_metric(f"{stage}/step", hidden=True)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")

    def resume(self, stage: str, step: int) -> None:
        self._new = dict(self._told)

    def records(self, records: Sequence[Record]) -> None:
        rows: dict[tuple[str, int], dict[str, Any]] = {}
        for record in records:
            if self._is_new(record):
                rows.setdefault((record.stage, record.step), {})[record.name] = record.value
                if "rate" in record.protocol:
                    self._run.summary[f"{record.name} is"] = record.protocol["rate"]
        for (stage, step), row in rows.items():
            self._run.log({**row, f"{stage}/step": step})
            self._told[stage] = max(step, self._told.get(stage, 0))
        if rows:
            state = {"id": self._run.id, "told": self._told}
            write_atomic(self._state_path, json.dumps(state, indent=2) + "\n")

    def pictures(self, pictures: Sequence[Picture]) -> None:
        for picture in pictures:
            image = picture.image[..., 0] if picture.image.shape[2] == 1 else picture.image
            self._run.log({picture.name: self._image(image), f"{picture.stage}/step": picture.step})

    def close(self) -> None:
        self._run.finish()

    def _is_new(self, record: Record) -> bool:
        """Whether a training record was not told by an earlier process; measured ones are told again."""
        return not record.is_training or record.step > self._new.get(record.stage, 0)
