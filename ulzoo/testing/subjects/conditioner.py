"""Conditioners."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractConditioner, ConditionerIO
from ulzoo.testing.case import ModuleCase, Subject
from ulzoo.testing.mismatch import require
from ulzoo.testing.subjects.shapes import CLASSES, LABEL, array


def _run(module: Any, inputs: Any, key: Any, training: bool) -> Any:
    (raw,) = inputs
    return {"vector": module(raw, key=key if training else None), "null": module.null()}


def _promised(config: Any, io: ConditionerIO, output: Any) -> Any:
    shape, dtype = output["vector"].shape, output["vector"].dtype
    require(len(shape) == 1 and jnp.issubdtype(dtype, jnp.floating), "a vector of floats", f"{dtype} {shape}")
    # Base models cast it: any dtype will do, if both have it.
    return {name: array(*shape, dtype=dtype) for name in ("vector", "null")}


SUBJECT = Subject(
    contract=AbstractConditioner,
    io=ConditionerIO(CLASSES),
    inputs=lambda config, io: ({} if io.num_classes is None else {"label": LABEL},),
    run=_run,
    promised=_promised,
    bounds={0: (0, CLASSES)},
)


def width(case: ModuleCase) -> None:
    """Its vectors are as wide as `width` says: networks are built for that."""
    (got,) = case.single(case.parts[0], case.inputs(1), None)["vector"].shape
    require(case.module.width == got, f"width to be that of its vector, {got}", case.module.width)


def unlabelled(case: ModuleCase) -> None:
    """For data without labels it can be built, or refuses with an InterfaceError."""
    try:
        case.abstract_build(ConditionerIO(None))
    except InterfaceError:
        return
