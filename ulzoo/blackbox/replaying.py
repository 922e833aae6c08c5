"""`ulzoo replay`: the step of a black box in a new process, beside what the box says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ulzoo.blackbox.box import BlackBox, read_boxes
from ulzoo.blackbox.origin import Origin
from ulzoo.blackbox.playing import Stage, is_bad
from ulzoo.checkpoint import Checkpoints
from ulzoo.data.pipeline import fingerprint
from ulzoo.errors import RunError
from ulzoo.experiment import Experiment
from ulzoo.programs.state import TrainState
from ulzoo.restoring import checkpoint_manifest, restore
from ulzoo.run import Run


@dataclass(frozen=True)
class Replay:
    """What came out of a step that was played again.

    Attributes:
        box: what was recorded.
        source: where the state before the step is from.
        metrics: of the step, now.
        again: whether it was not finite this time either.
        records: whether it was given the same records with the same contents; None if none are noted.
        origins: by precision, where the first value came from that is not finite.
    """

    box: BlackBox
    source: str
    metrics: Mapping[str, float]
    again: bool
    records: bool | None
    origins: Mapping[str, Origin | None]

    def lines(self) -> list[str]:
        """For people."""
        box = self.box
        lines = [f"stage {box.stage}, step {box.step}; {box.device}; state before it {self.source}"]
        if box.noticed != box.step:
            lines.append(f"    its loss and gradient were finite; noticed at step {box.noticed}")
        shown = [name for name in ("loss", "gradient_norm") if name in self.metrics]
        lines += [f"    {name} {self.metrics[name]:g}" for name in shown]
        if self.records is not None:
            same = "as recorded" if self.records else "NOT those recorded: the data have changed"
            lines.append(f"    {len(box.records)} records, {same}: {_shortened(box.records)}")
        for precision, origin in self.origins.items():
            if origin is None:
                lines.append(f"in {precision}: every value that counts is finite")
                continue
            first, *rest = origin.lines()
            lines += [
                f"in {precision}, the first value that is not finite: {first}",
                *(f"    {line}" for line in rest),
            ]
        return [*lines, "reproduced" if self.again else "NOT reproduced: the step is finite here"]


def replay(run: Run, experiment: Experiment, stage: int | None = None, step: int | None = None) -> Replay:
    """Play the step of a run's latest black box again. Writes nothing.

    Args:
        stage: of the black box; by default of any.
        step: of the black box; by default the one that was written last.

    Raises:
        RunError: there is no such black box, or the steps that lead to it cannot be taken any more.
        CheckpointError: its state, or the checkpoint before it, is damaged or of another spec.
    """
    box = _chosen(run, stage, step)
    autoencoder = restore(run, experiment, 1)[0] if box.stage == 2 else None
    program = experiment.program(box.stage, autoencoder)
    played = Stage(run, experiment, box.stage, program, autoencoder)
    batch = played.batch(box.step)
    known = (tuple(batch["index"].tolist()), fingerprint(batch)) == (box.records, box.content)
    state, source = _state_before(played, box)
    origins = played.origins(state, batch)
    # Last: a step donates its state.
    after, metrics = played.play(state, batch)
    return Replay(box, source, metrics, is_bad(metrics, after), known if box.records else None, origins)


def _chosen(run: Run, stage: int | None, step: int | None) -> BlackBox:
    boxes = read_boxes(run, stage)
    found = [box for box in boxes if step in (None, box.step)]
    if not found:
        there = ", ".join(f"stage {box.stage} step {box.step}" for box in boxes) or "none"
        raise RunError(
            f"{run.directory}: no black box of such a step; there: {there}\n"
            "    one is written when training stops at a loss or gradient that is not finite"
        )
    return found[-1]


def _state_before(stage: Stage, box: BlackBox) -> tuple[TrainState, str]:
    if box.state:
        expect = checkpoint_manifest(stage.experiment.spec, box.stage)
        with Checkpoints(box.states(stage.run), read_only=True) as checkpoints:
            return checkpoints.restore(
                box.step - 1, stage.program.abstract_state, expect
            ), "from the black box"
    start = stage.start_before(box.step)
    words = "the beginning" if start is None else f"the checkpoint of step {start}"
    return stage.state_after(box.step - 1, start), f"by the steps from {words}"


def _shortened(records: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, records[:8]))
    return f"{shown}, …" if len(records) > 8 else shown
