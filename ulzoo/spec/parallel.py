"""How the work is laid out over devices, as data."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from ulzoo.spec.component import SpecModel

MeshAxis = Literal["data", "fsdp", "tensor"]
"""Axes of the mesh. `data` and `fsdp` divide the batch, `fsdp` and `tensor` the parameters."""

AXES: tuple[MeshAxis, ...] = ("data", "fsdp", "tensor")
"""In the order of the mesh: what lies furthest apart (other machines) comes first."""

ROLES = ("encoder", "prior", "decoder", "base_model")


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}, got {value!r}") from None
    return value


Pattern = Annotated[str, AfterValidator(_pattern)]
ParameterAxis = Literal["fsdp", "tensor"]


class ShardingRule(SpecModel):
    """Where parameters of certain names live. Of a list of rules the first that matches is taken."""

    match: Pattern
    """Regular expression for a parameter's whole path, such as `decoder\\..*\\.attention\\.qkv\\.weight`."""

    axes: Literal["default", "replicated"] | tuple[ParameterAxis | tuple[ParameterAxis, ...] | None, ...]
    """The mesh axis, or axes, that each axis of the array is divided over, null for none; axes at the end may
    be left out. A stack of layers has one axis more, in front: it is not counted and never divided.
    `replicated`: whole on every device. `default`: as without rules."""

    @field_validator("axes")
    @classmethod
    def _once(cls, value: object) -> object:
        if isinstance(value, tuple):
            flat = [axis for part in value for axis in (part if isinstance(part, tuple) else (part,)) if axis]
            twice = next((axis for axis in flat if flat.count(axis) > 1), None)
            if twice is not None:
                raise ValueError(f"an axis of the mesh can divide one axis of the array, got '{twice}' twice")
        return value


class ActivationRule(SpecModel):
    """How the output of certain modules is divided, beside its batch. The first that matches is taken."""

    match: Pattern
    """Regular expression for a module's whole path, such as `prior\\.network\\.blocks`."""

    axes: tuple[Literal["tensor"] | None, ...]
    """The mesh axis that each axis of one example's output is divided over, null for none."""


class ComponentLayout(SpecModel):
    """What differs for the parameters of one role."""

    fsdp: bool = True
    """Whether the default layout divides them over `fsdp`."""

    tensor: bool = True
    """Whether the default layout divides attention and MLP over `tensor`."""

    replicate_below: int | None = Field(default=None, ge=0)
    """In place of `parallel.replicate_below`; null: that."""

    rules: tuple[ShardingRule, ...] = ()
    """Come before `parallel.rules`; they match the path inside the role, such as `network\\..*`."""


class Parallel(SpecModel):
    """How the work is laid out over devices."""

    mesh: dict[MeshAxis, int] = Field(default={"data": -1}, min_length=1)
    """Devices along each axis of the mesh; -1, once at most: what the other axes leave. The batch is divided
    over `data` and `fsdp`; parameters, EMA and optimiser over `fsdp` and `tensor`, each a copy per `data`."""

    replicate_below: int = Field(default=16384, ge=0)
    """Parameters with fewer numbers than this (per layer of a stack) are whole on every device unless a rule
    divides them: sending them around would cost more than they take."""

    rules: tuple[ShardingRule, ...] = ()
    """Where parameters live; empty: the default layout. Of those given the first that matches is taken, and
    every parameter must match one."""

    components: dict[Literal["encoder", "prior", "decoder", "base_model"], ComponentLayout] = {}
    """Roles whose parameters are laid out differently."""

    activations: tuple[ActivationRule, ...] = ()
    """Outputs of modules that are divided in a stated way; without them the compiler decides."""

    @field_validator("mesh")
    @classmethod
    def _sizes(cls, value: dict[str, int]) -> dict[str, int]:
        for axis, size in value.items():
            if size != -1 and size < 1:
                raise ValueError(
                    f"the size of axis '{axis}' must be positive, or -1 for all devices, got {size}"
                )
        if list(value.values()).count(-1) > 1:
            raise ValueError(f"one axis at most can take what the others leave, got -1 for {_listed(value)}")
        return value


def _listed(mesh: dict[str, int]) -> str:
    return " and ".join(f"'{axis}'" for axis, size in mesh.items() if size == -1)
