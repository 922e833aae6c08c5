"""Whether a step fits into a device's memory, and what to change if it does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ulzoo.planning.accelerators import Accelerator
from ulzoo.planning.memory import StepMemory
from ulzoo.planning.quantities import size
from ulzoo.spec import Spec, uses

TIGHT = 0.9
"""Share of a device's memory from which it may still fail: a runtime keeps some, and estimates err."""


@dataclass(frozen=True)
class Verdict:
    """Attributes:
    fits: the peak is below the device's memory.
    tight: it is, and above nine tenths of it.
    largest_share: examples on one device that would fit, where the batch does not; 0: not even one.
    changes: what to do, one a line.
    """

    fits: bool
    tight: bool
    largest_share: int | None
    changes: tuple[str, ...]


def judge(
    memory: StepMemory,
    accelerator: Accelerator,
    spec: Spec,
    stage: int,
    share: int,
    sizes: dict[str, int],
    estimate: Callable[[int], StepMemory],
) -> Verdict:
    """Compare a step's peak with an accelerator's memory.

    Args:
        share: examples on one device.
        sizes: of the mesh.
        estimate: memory with another number of examples on one device.
    """
    available = accelerator.bytes
    if memory.peak <= available:
        return Verdict(True, memory.peak > TIGHT * available, None, ())
    changes = []
    fixed = memory.state + memory.gradients
    if fixed > available:
        changes.append(
            f"parameters, EMA, optimiser and gradients alone are {size(fixed)}: divide them over devices"
            " (--set 'parallel.mesh={fsdp: -1}'), or take an accelerator with more memory"
        )
        return Verdict(False, False, 0, (*changes, *_recompute(spec, stage)))
    largest = _largest(memory, available, share, estimate)
    settings = spec.stage1 if stage == 1 else spec.stage2
    assert settings is not None
    name = f"stage{stage}.batch_size"
    ways = settings.batch_size // share
    if largest:
        # Whole batches only: the next number that divides it.
        devices = next(
            n for n in range(1, settings.batch_size + 1) if _holds(settings.batch_size, n, largest)
        )
        parts = next(n for n in range(1, share + 1) if _holds(share, n, largest))
        others = math.prod(sizes.values()) // ways
        changes.append(
            f"up to {largest} examples of a step would fit on a device: {devices * others} devices, or on"
            f" these --set stage{stage}.accumulate={parts * settings.accumulate} (the same batch in turns),"
            f" or --set {name}={largest * ways}"
        )
    else:
        changes.append("not even one example on a device would fit")
    return Verdict(False, False, largest, (*changes, *_recompute(spec, stage)))


def _holds(batch: int, ways: int, largest: int) -> bool:
    return batch % ways == 0 and batch // ways <= largest


def _largest(memory: StepMemory, available: int, share: int, estimate: Callable[[int], StepMemory]) -> int:
    """Examples that fit, on a straight line through this number and half of it."""
    if share == 1:
        return 0
    half = estimate(max(1, share // 2))
    slope = (memory.peak - half.peak) / (share - max(1, share // 2))
    if slope <= 0:
        return 0
    return max(0, share - math.ceil((memory.peak - available) / slope))


def _recompute(spec: Spec, stage: int) -> list[str]:
    """Networks that keep their activations and need not."""
    roles = ("encoder", "prior", "decoder") if stage == 1 else ("base_model",)
    paths = []
    for role in roles:
        component = getattr(spec, role)
        for path, used in ((role, component), *((f"{role}.{u.path}", u.component) for u in uses(component))):
            if getattr(used, "remat", None) is False:
                paths.append(f"{path}.remat: true")
    return [f"compute activations again in the backward pass: {', '.join(paths)}"] if paths else []
