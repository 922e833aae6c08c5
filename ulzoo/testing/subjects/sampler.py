"""Samplers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from ulzoo.interfaces import AbstractSampler, SamplerIO
from ulzoo.testing.case import ModuleCase, Subject
from ulzoo.testing.mismatch import require
from ulzoo.testing.subjects.shapes import array

SHAPE = (2, 4, 4)


def _run(module: Any, inputs: Any, key: Any, training: bool) -> Any:
    z, x = inputs
    log_snrs = jnp.linspace(-10.0, 5.0, module.steps + 1)
    ends = {} if training else {"clean": True}
    return {
        name: module(lambda z, log_snr: x, z, log_snrs, key=key, clean=clean)
        for name, clean in ({"noisy": False} | ends).items()
    }


SUBJECT = Subject(
    contract=AbstractSampler,
    io=SamplerIO(),
    inputs=lambda config, io: (array(*SHAPE), array(*SHAPE)),
    run=_run,
    promised=lambda config, io, output: {"clean": array(*SHAPE), "noisy": array(*SHAPE)},
    draws=True,
    keyed=False,
)


def steps(case: ModuleCase) -> None:
    """It says how many steps it takes: one less than the levels that it is given."""
    got = getattr(case.module, "steps", None)
    require(isinstance(got, int) and got > 0, "steps, a whole number above 0", repr(got))


def expectation(case: ModuleCase) -> None:
    """Where x is known, the clean end is x."""
    inputs, _, outputs = case.batch
    error = float(np.abs(np.asarray(outputs["clean"]) - np.asarray(inputs[1])).max())
    # float32: a few roundings of values of a few units.
    require(
        error < 1e-4,
        "the clean end to be x̂ for a denoiser that always says x̂",
        f"a difference of {error:.3g}",
    )
