"""What a reader must know first: what a report cannot show and why, and whether the latent is empty."""

from __future__ import annotations

from ulzoo.report.numbers import short
from ulzoo.report.reading import RunData


def gaps(run: RunData) -> list[str]:
    """A sentence for each thing that is missing, the gravest first."""
    found = [f"Cannot be read: {fault}" for fault in run.faults]
    stages = [1, 2] if run.setting("stage2") or not run.spec else [1]
    for stage in stages:
        found += _training(run, stage)
        if f"stage{stage}" in run.finished and f"evaluate{stage}" not in run.finished:
            found.append(f"Stage {stage} is trained but was not measured.")
    if not run.setting("base_model") and run.spec:
        found.append("The spec has no base model: there is no stage 2 and there are no samples.")
    elif "stage2" in run.finished and not run.grid_path.exists():
        found.append("No samples were drawn.")
    if "evaluate1" in run.finished:
        if run.split_of_rate() is None:
            found.append(
                "No rate by noise level and position: the spec's `evaluate` names no metric that records"
                " them, such as ulzoo.bits_per_pixel.v1."
            )
        if not any(name.endswith("/examples/psnr") for name in run.measured):
            found.append("No reconstructions were kept; `ulzoo evaluate` makes them.")
    if run.finished and not run.timings:
        found.append("No timings were noted.")
    return found


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
