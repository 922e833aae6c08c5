"""A plan as lines for reading."""

from __future__ import annotations

from typing import Any

from ulzoo.planning.accelerators import Accelerator
from ulzoo.planning.advice import TIGHT
from ulzoo.planning.plan import Plan, StagePlan
from ulzoo.planning.quantities import amount, duration, size
from ulzoo.spec import spec_hash


def lines_of(path: str, plan: Plan, examples: int | None = None) -> list[str]:
    """Args:
    path: of the spec, as it was given.
    examples: in the dataset, for the size of a latent cache.
    """
    what = "devices" if plan.accelerator is None else plan.accelerator.name
    mesh = ", ".join(f"{axis} {count}" for axis, count in plan.mesh.items())
    roles = [f"{role.role} {amount(role.parameters).strip()}" for role in plan.roles]
    shape = "×".join(map(str, plan.latent_shape))
    count = 1_000_000 if examples is None else examples
    cache = f"{size(count * plan.latent_bytes)} for {count:,} examples"
    lines = [
        f"{path}: spec {spec_hash(plan.spec)[:12]} on {plan.devices} × {what}, mesh {mesh}",
        _row("parameters", f"{', '.join(roles)}; all {amount(plan.parameters).strip()}"),
        _row("latent", f"{shape}; {size(plan.latent_bytes)} an example in float32; cached: {cache}"),
    ]
    for stage in plan.stages:
        lines += _stage_lines(plan, stage)
    return lines


def topology_lines(topology: str, answer: dict[str, Any], accelerator: Accelerator | None) -> list[str]:
    """What compiling for a topology found."""
    mesh = ", ".join(f"{axis} {count}" for axis, count in answer["mesh"].items())
    versions = ", ".join(f"{name} {version}" for name, version in answer["versions"].items())
    lines = [
        f"compiled for {topology}: {answer['devices']} × {answer['device_kind']}, mesh {mesh} ({versions})"
    ]
    for stage in answer["stages"]:
        lines.append(f"stage {stage['stage']}")
        took = f"{duration(stage['compile_seconds'])}, and {duration(stage['lower_seconds'])} to trace"
        lines.append(_row("compiling", took))
        if "memory" not in stage:
            lines.append(_row("memory", f"does not fit, says the compiler: {stage['exhausted']}"))
            continue
        lines += _memory_lines(stage["memory"], accelerator, "per chip")
        kinds = [
            f"{kind['count']} {kind['kind']} {size(kind['bytes'])}"
            + (f" ({kind['written']} in the text)" if kind["written"] != kind["count"] else "")
            for kind in stage["collectives"]
        ]
        lines.append(_row("collectives", f"per step and chip: {', '.join(kinds) or 'none'}"))
    return lines


def _stage_lines(plan: Plan, stage: StagePlan) -> list[str]:
    flops = [
        f"{amount(stage.flops_image)}FLOPs an example forward",
        f"{amount(stage.flops_step)}FLOPs a step (paper: training = 3 × forward)",
    ]
    if stage.flops_traced is not None:
        flops.append(f"{amount(stage.flops_traced)}FLOPs as it is run, recomputation included")
    if stage.flops_xla is not None:
        flops.append(f"{amount(stage.flops_xla)}FLOPs by XLA, which counts loops once")
    lines = [
        f"stage {stage.stage}: {stage.steps:,} steps of {stage.batch_size:,}, {stage.share:,} on a device",
        _row("work", "; ".join(flops)),
        *_memory_lines(stage.memory.as_dict(), plan.accelerator, "per device"),
    ]
    if stage.verdict is not None:
        lines += [_row("change", change) for change in stage.verdict.changes]
    lines.append(_row("checkpoint", f"{size(stage.checkpoint)} each"))
    if stage.time is not None and plan.accelerator is not None:
        rate = plan.accelerator.rate(plan.spec.formats.compute)
        cost = "" if stage.time.cost is None else f"; costs {stage.time.cost:,.2f}"
        lines.append(
            _row(
                "time",
                f"{duration(stage.time.stage)} ({duration(stage.time.step)} a step) at {plan.utilisation:g}"
                f" of {amount(rate)}FLOP/s; {stage.time.device_hours:,.4g} accelerator-hours{cost}",
            )
        )
    return lines


def _memory_lines(memory: dict[str, Any], accelerator: Accelerator | None, whose: str) -> list[str]:
    parts = []
    for name in ("parameters", "ema", "optimizer", "frozen", "gradients", "activations", "batch"):
        if memory[name]:
            word = {"ema": "EMA", "optimizer": "optimiser", "frozen": "frozen encoder"}.get(name, name)
            if name == "activations" and not memory["gradients"]:
                word = "gradients and activations"
            parts.append(f"{word} {size(memory[name])}")
    verdict = ""
    if accelerator is not None:
        share = memory["peak"] / accelerator.bytes
        word = "does not fit" if share > 1 else "tight" if share > TIGHT else "fits"
        verdict = f" of {size(accelerator.bytes)}: {word}"
    return [
        _row("memory", f"{whose}, {memory['how']}: peak {size(memory['peak'])}{verdict}"),
        _row("", ", ".join(parts)),
    ]


def _row(name: str, text: str) -> str:
    return f"  {name:12s} {text}"
