"""Conditioners."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import LATENT_LEVEL, AbstractConditioner, AbstractGridConditioner, ConditionerIO
from ulzoo.testing.case import ModuleCase, Subject
from ulzoo.testing.mismatch import require
from ulzoo.testing.subjects.shapes import CLASSES, DATA_CLIP, LABEL, LATENT_CLIP, LOG_SNR, array


def _run(module: Any, inputs: Any, key: Any, training: bool) -> Any:
    (raw,) = inputs
    return {"condition": module(raw, key=key if training else None), "null": module.null()}


def _promised(config: Any, io: ConditionerIO, output: Any) -> Any:
    shape, dtype = output["condition"].shape, output["condition"].dtype
    right = len(shape) == 1 or shape[1:] == LATENT_CLIP[1:]
    got = f"{dtype} {shape}"
    require(right and jnp.issubdtype(dtype, jnp.floating), "floats: a vector, or the latent's grid", got)
    # Base models cast it: any dtype will do, if both have it.
    return {name: array(*shape, dtype=dtype) for name in ("condition", "null")}


SUBJECT = Subject(
    contract=(AbstractConditioner, AbstractGridConditioner),
    # A clip: what has its place in an image has one in a clip, too, but not the other way round.
    io=ConditionerIO(CLASSES, DATA_CLIP, LATENT_CLIP, random_log_snr=LOG_SNR),
    inputs=lambda config, io: (
        {"x": array(*DATA_CLIP), LATENT_LEVEL: array()}
        | ({} if io.num_classes is None else {"label": LABEL}),
    ),
    run=_run,
    promised=_promised,
    bounds={0: (0, CLASSES)},
)


def width(case: ModuleCase) -> None:
    """Its vectors or grids are as wide as `width` says: networks are built for that."""
    got, *grid = case.single(case.parts[0], case.inputs(1), None)["condition"].shape
    require(case.module.width == got, f"width to be that of its output, {got}", case.module.width)
    is_grid = isinstance(case.module, AbstractGridConditioner)
    wanted = "a grid exactly from an AbstractGridConditioner"
    require(bool(grid) == is_grid, wanted, f"{type(case.module).__name__} gives shape {(got, *grid)}")


def unlabelled(case: ModuleCase) -> None:
    """For data without labels it can be built, or refuses with an InterfaceError."""
    try:
        case.abstract_build(ConditionerIO(None, DATA_CLIP, LATENT_CLIP))
    except InterfaceError:
        return
