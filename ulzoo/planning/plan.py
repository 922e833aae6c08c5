"""A spec's costs on given hardware, all from abstract shapes: nothing is allocated, nothing trained."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import jax

from ulzoo.assemble import Assembly
from ulzoo.errors import RunError
from ulzoo.experiment import check_fit
from ulzoo.flops import program_flops
from ulzoo.inspection import RoleReport
from ulzoo.planning import layouts
from ulzoo.planning.accelerators import Accelerator
from ulzoo.planning.advice import Verdict, judge
from ulzoo.planning.memory import StepMemory, compiled, estimated, in_all
from ulzoo.programs.program import Program
from ulzoo.spec import Spec, spec_hash


@dataclass(frozen=True)
class Time:
    """How long a stage takes at a stated share of the peak rate; data and start-up are taken to cost none.

    Attributes:
        step: seconds of a step.
        stage: seconds of all steps.
        device_hours: of all accelerators together.
        cost: in the currency of the price; None without a price.
    """

    step: float
    stage: float
    device_hours: float
    cost: float | None


@dataclass(frozen=True)
class StagePlan:
    """One stage on the hardware.

    Attributes:
        share: examples of a step on one device.
        flops_image: one forward pass for one example (Heek et al. 2026, §4: linear maps, convolutions and
            attention); a frozen encoder is not in it.
        flops_step: a training step by the paper's count: three times as much as forward, once for a frozen
            encoder.
        flops_traced: all matrix products and convolutions of the step as it is run, recomputation included.
        flops_xla: XLA's own count of the step, which takes a loop's body once and counts arithmetic on
            elements too.
        checkpoint: bytes of one checkpoint.
        memory: of one device.
        verdict: None without an accelerator.
    """

    stage: int
    steps: int
    batch_size: int
    share: int
    flops_image: int
    flops_step: int
    flops_traced: int | None
    flops_xla: int | None
    checkpoint: int
    memory: StepMemory
    verdict: Verdict | None
    time: Time | None

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "memory": self.memory.as_dict()}


@dataclass(frozen=True)
class Plan:
    """What `ulzoo plan` knows of a spec on hardware; `as_dict` is its JSON.

    Attributes:
        latent_bytes: of one image's z_clean in float32.
    """

    spec: Spec
    devices: int
    mesh: dict[str, int]
    accelerator: Accelerator | None
    utilisation: float
    price: float | None
    roles: tuple[RoleReport, ...]
    latent_shape: tuple[int, ...]
    latent_bytes: int
    stages: tuple[StagePlan, ...]

    @property
    def parameters(self) -> int:
        return sum(role.parameters for role in self.roles)

    @property
    def fits(self) -> bool | None:
        """Whether both stages fit; None without an accelerator."""
        if self.accelerator is None:
            return None
        return all(stage.verdict is not None and stage.verdict.fits for stage in self.stages)

    def as_dict(self) -> dict[str, Any]:
        return {
            "spec": self.spec.name,
            "spec_hash": spec_hash(self.spec),
            "precision": self.spec.formats.model_dump(mode="json"),
            "devices": self.devices,
            "mesh": self.mesh,
            "accelerator": None if self.accelerator is None else asdict(self.accelerator),
            "utilisation": self.utilisation,
            "price_per_hour": self.price,
            "roles": [asdict(role) for role in self.roles],
            "parameters": self.parameters,
            "latent_shape": list(self.latent_shape),
            "latent_bytes_per_image": self.latent_bytes,
            "stages": [stage.as_dict() for stage in self.stages],
            "fits": self.fits,
        }


def plan(
    spec: Spec,
    devices: int = 1,
    accelerator: Accelerator | None = None,
    *,
    utilisation: float = 0.4,
    price: float | None = None,
    compile: bool = False,
) -> Plan:
    """Costs of a spec on `devices` equal devices.

    Args:
        accelerator: what the devices are; without it there is no time, cost or verdict.
        utilisation: share of the peak rate that training reaches, by the paper's count of FLOPs.
        price: of one accelerator for one hour, in any currency.
        compile: memory as the compiler of this machine's devices plans it, in place of an estimate from
            shapes; there must be as many of them.

    Raises:
        SpecError: a spec that does not fit together, or not on this number of devices.
        RunError: to be compiled for more devices than are here.
    """
    assembly, roles = check_fit(spec)
    sizes = layouts.mesh_sizes(spec, devices)
    stages = []
    for stage in (1, 2) if spec.stage2 is not None else (1,):
        found = _measured(spec, assembly, sizes, stage, compile)
        stages.append(_stage(spec, assembly, roles, found, stage, sizes, accelerator, utilisation, price))
    return Plan(
        spec=spec,
        devices=devices,
        mesh=sizes,
        accelerator=accelerator,
        utilisation=utilisation,
        price=price,
        roles=tuple(roles),
        latent_shape=assembly.latent_shape,
        latent_bytes=4 * math.prod(assembly.latent_shape),
        stages=tuple(stages),
    )


@dataclass(frozen=True)
class _Found:
    """What had to be traced."""

    program: Program
    memory: StepMemory
    flops_traced: int | None
    flops_xla: int | None


def _measured(spec: Spec, assembly: Assembly, sizes: dict[str, int], stage: int, compile: bool) -> _Found:
    program = layouts.program(spec, assembly, layouts.abstract(sizes), stage)
    share = layouts.batch_share(program)
    alone = alone_with(spec, assembly, sizes, stage, share)
    ways = _settings(spec, stage).batch_size // share
    traced = alone.trace()
    try:
        flops = program_flops(traced.jaxpr.jaxpr) * ways
    except ValueError:
        # A plugin's kernel, which multiplies in a way that cannot be read.
        flops = None
    analysis = traced.lower(lowering_platforms=("cpu",)).cost_analysis() or {}
    xla = round(analysis["flops"] * ways) if "flops" in analysis else None
    memory = estimated(program, alone)
    if compile:
        here = jax.devices()
        count = math.prod(sizes.values())
        if count > len(here):
            raise RunError(f"--compile: {count} devices are asked for, and {len(here)} are here")
        laid_out = layouts.program(spec, assembly, layouts.over(here[:count], sizes), stage)
        memory = compiled(laid_out, laid_out.lower().compile(), here[0].platform)
    return _Found(program, memory, flops, xla)


def alone_with(spec: Spec, assembly: Assembly, sizes: dict[str, int], stage: int, batch: int) -> Program:
    """A stage's program for one device and so many examples."""
    one = layouts.abstract(dict.fromkeys(sizes, 1))
    return layouts.program(layouts.with_batch(spec, stage, batch), assembly, one, stage)


def _settings(spec: Spec, stage: int) -> Any:
    return spec.stage1 if stage == 1 else spec.stage2


def _stage(
    spec: Spec,
    assembly: Assembly,
    roles: list[RoleReport],
    found: _Found,
    stage: int,
    sizes: dict[str, int],
    accelerator: Accelerator | None,
    utilisation: float,
    price: float | None,
) -> StagePlan:
    settings = _settings(spec, stage)
    flops = {role.role: role.flops for role in roles}
    trained = ("encoder", "prior", "decoder") if stage == 1 else ("base_model",)
    forward = sum(flops[role] for role in trained)
    step = settings.batch_size * (3 * forward + (flops["encoder"] if stage == 2 else 0))
    share = layouts.batch_share(found.program)
    verdict = time = None
    if accelerator is not None:
        verdict = judge(
            found.memory,
            accelerator,
            spec,
            stage,
            share,
            sizes,
            lambda batch: estimated(found.program, alone_with(spec, assembly, sizes, stage, batch)),
        )
        count = math.prod(sizes.values())
        seconds = step / (count * accelerator.rate(spec.formats.compute) * utilisation)
        hours = seconds * settings.steps * count / 3600
        time = Time(seconds, seconds * settings.steps, hours, None if price is None else price * hours)
    return StagePlan(
        stage=stage,
        steps=settings.steps,
        batch_size=settings.batch_size,
        share=share,
        flops_image=forward,
        flops_step=step,
        flops_traced=found.flops_traced,
        flops_xla=found.flops_xla,
        checkpoint=in_all(found.program.abstract_state),
        memory=found.memory,
        verdict=verdict,
        time=time,
    )
