"""What a reader must know first: what a report cannot show and why, and whether the latent is empty."""

from __future__ import annotations

from collections.abc import Sequence

from ulzoo.report.frames import Prediction
from ulzoo.report.numbers import short
from ulzoo.report.pictures import Example, each_of
from ulzoo.report.reading import RunData

_SPLITS_THE_RATE = "ulzoo.bits_per_pixel.v1"


def gaps(
    run: RunData,
    samples: str | None,
    examples: Sequence[Example],
    predictions: Sequence[Prediction] | None = None,
) -> list[str]:
    """A sentence for each thing that is missing, the gravest first.

    Args:
        samples, examples, predictions: what could be read of them; None for predictions on a page that
            shows none.
    """
    found = [f"Cannot be read: {fault}" for fault in run.faults]
    stages = [1, 2] if run.setting("stage2") or not run.spec else [1]
    for stage in stages:
        found += _training(run, stage)
        if f"stage{stage}" in run.finished and f"evaluate{stage}" not in run.finished:
            found.append(f"Stage {stage} is trained but was not measured.")
    if not run.setting("base_model") and run.spec:
        found.append("The spec has no base model: there is no stage 2 and there are no samples.")
    elif samples is None:
        found += _no_samples(run)
    found += _left_out(run, "reconstructions", max(len(each_of(run, w)) for w in ("psnr", "bits")), examples)
    if predictions is not None:
        found += _left_out(run, "predictions", len(each_of(run, "prediction_psnr")), predictions)
    # Of a run without its records nothing is known but that they are gone, which is said above.
    if "evaluate1" in run.finished and run.records_path.exists():
        if run.split_of_rate() is None:
            found.append(f"No rate by noise level and position: {_why_no_split(run)}.")
        if not any(name.endswith("/examples/psnr") for name in run.measured):
            found.append("No reconstructions were recorded; `ulzoo evaluate` makes them.")
    if run.finished and not run.timings:
        found.append("No timings were noted.")
    return found


def _no_samples(run: RunData) -> list[str]:
    if run.grid_path.exists():
        return [f"Cannot be read: {run.grid_path}: no picture, or a damaged one"]
    if "samples" in run.finished:
        return [f"Cannot be read: {run.grid_path}: missing"]
    return ["No samples were drawn."] if "stage2" in run.finished else []


def _left_out(
    run: RunData, what: str, recorded: int, shown: Sequence[Example] | Sequence[Prediction]
) -> list[str]:
    there = {one.number for one in shown}
    absent = [f"{number:03d}" for number in range(recorded) if number not in there]
    if not absent:
        return []
    return [
        f"{len(there)} of {recorded} {what} are shown: in {run.examples} the pictures of {', '.join(absent)}"
        " are missing, damaged or too heavy for a page."
    ]


def _why_no_split(run: RunData) -> str:
    if not run.spec:
        return "no record has them"
    chosen = run.setting("evaluate", [])
    types = [metric.get("type") for metric in chosen if isinstance(metric, dict)]
    if any(str(name).rpartition("::")[2] == _SPLITS_THE_RATE for name in types):
        return (
            f"metrics.jsonl lacks the record of {_SPLITS_THE_RATE}, which the spec's `evaluate` names;"
            " `ulzoo evaluate` measures it again"
        )
    return f"the spec's `evaluate` names no metric that records them, such as {_SPLITS_THE_RATE}"


def _training(run: RunData, stage: int) -> list[str]:
    name = f"stage{stage}"
    if name in run.finished:
        return []
    steps = [record.step for record in run.records if record.stage == name and record.is_training]
    of = run.setting(f"{name}.steps")
    total = f" of {of}" if of is not None else ""
    # Stage 2 goes on from the same command, but not before stage 1.
    next_one = stage == 1 or "stage1" in run.finished
    how = f" Continue with: ulzoo run --resume {run.directory}" if next_one else ""
    if not steps:
        return [f"Stage {stage} has no records yet{f' ({of} steps to do)' if of is not None else ''}.{how}"]
    return [f"Stage {stage} is not finished: its last record is of step {steps[-1]}{total}.{how}"]


def collapsed(run: RunData) -> str | None:
    """A sentence if the run found its latent to be as good as empty."""
    found = [record for name, record in run.measured.items() if name.endswith("/collapsed")]
    if not found:
        return None
    rate = found[-1].protocol.get("bits_per_latent_dim")
    held = f"{short(rate)} bits per dimension" if isinstance(rate, int | float) else "next to nothing"
    return (
        f"It holds {held}: reconstructions and samples owe next to nothing to it. Raise the decoder's loss"
        " factor or bias, or warm the rate up (stage1.rate_warmup_steps)."
    )
