"""The mesh of a spec on devices that are not here, and its programs on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh

from ulzoo.assemble import Assembly
from ulzoo.errors import InterfaceError, SpecError
from ulzoo.experiment import Experiment
from ulzoo.programs.program import Program
from ulzoo.spec import Spec, problem_at


def mesh_sizes(spec: Spec, count: int) -> dict[str, int]:
    """Axes of the spec's mesh on `count` devices.

    Raises:
        SpecError: they do not multiply to that many.
    """
    axes = {str(axis): size for axis, size in spec.parallel.mesh.items()}
    known = math.prod(size for size in axes.values() if size != -1)
    sizes = {axis: count // known if size == -1 else size for axis, size in axes.items()}
    if math.prod(sizes.values()) != count:
        raise SpecError([problem_at(spec, "parallel.mesh", f"{axes} does not multiply to {count} devices")])
    return sizes


def abstract(sizes: dict[str, int]) -> AbstractMesh:
    """A mesh of no devices."""
    return AbstractMesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def over(devices: Sequence[Any], sizes: dict[str, int]) -> Mesh:
    """A mesh over given devices, a topology's for instance."""
    shape = tuple(sizes.values())
    return Mesh(np.array(devices).reshape(shape), tuple(sizes), axis_types=(AxisType.Auto,) * len(shape))


def program(spec: Spec, assembly: Assembly, mesh: Any, stage: int) -> Program:
    """A stage's program on any mesh.

    Raises:
        SpecError: mesh and batch do not fit.
    """
    try:
        return Experiment(spec, assembly, mesh).program(stage)
    except InterfaceError as error:
        raise SpecError([problem_at(spec, error.path, error.text)]) from error


def with_batch(spec: Spec, stage: int, size: int) -> Spec:
    """The spec with another batch size of one stage."""
    name = f"stage{stage}"
    settings = getattr(spec, name).model_copy(update={"batch_size": size})
    return spec.model_copy(update={name: settings})


def batch_share(program: Program) -> int:
    """Examples of a step on one device."""
    first = next(iter(program.abstract_batch.values()))
    assert first.sharding is not None
    return int(first.sharding.shard_shape(first.shape)[0])
