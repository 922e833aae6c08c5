"""Noise schedules."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from ulzoo.interfaces import AbstractSchedule, ScheduleIO
from ulzoo.testing.case import ModuleCase, Subject
from ulzoo.testing.mismatch import require
from ulzoo.testing.subjects.shapes import LOG_SNR, array

TIMES = 33
TIME_TOLERANCE = 1e-3
"""Of t in [0, 1]: near its ends a steep schedule turns float32's rounding of log-SNR into more time."""

SUBJECT = Subject(
    contract=AbstractSchedule,
    io=ScheduleIO(LOG_SNR),
    inputs=lambda config, io: (array(TIMES),),
    run=lambda module, inputs, key, training: module(*inputs),
    promised=lambda config, io, output: array(TIMES),
    keyed=False,
    bounds={0: (0.02, 0.98)},
)


def ends(case: ModuleCase) -> None:
    """It takes the least noise that is imposed on it, and its ends are exact."""
    schedules = {"imposed": case.module, "its own": case.build(None, ScheduleIO(None))}
    imposed = case.io.log_snr_max
    if imposed is not None:
        got = schedules["imposed"].log_snr_max
        require(got == imposed, f"log_snr_max to be the imposed {imposed:g}", got)
    for words, module in schedules.items():
        high, low = module.log_snr_max, module.log_snr_min
        require(high > low, f"log_snr_max above log_snr_min ({words})", f"{high} and {low}")
        values = np.asarray(module(jnp.asarray([0.0, 1.0])))
        # To the bit: the end is compared with the latent's log-SNR elsewhere.
        exact = list(values) == [np.float32(high), np.float32(low)]
        require(exact, f"{high} at t = 0 and {low} at t = 1 ({words})", list(map(float, values)))


def falls(case: ModuleCase) -> None:
    """Log-SNR falls with time."""
    values = np.asarray(case.module(jnp.linspace(0.0, 1.0, TIMES)))
    rises = np.flatnonzero(np.diff(values) >= 0)
    got = f"{values[rises[0]]:g} and then {values[rises[0] + 1]:g}" if rises.size else ""
    require(not rises.size, "log-SNR that falls from t = 0 to t = 1", got)


def inverse(case: ModuleCase) -> None:
    """`inverse` gives the time back."""
    times = jnp.linspace(0.0, 1.0, TIMES)
    error = np.abs(np.asarray(case.module.inverse(case.module(times)) - times, np.float64))
    worst = int(np.argmax(error)) if np.isfinite(error).all() else int(np.argmax(~np.isfinite(error)))
    got = f"t = {float(times[worst]):g} missed by {error[worst]:.3g}"
    require(error.max() <= TIME_TOLERANCE, "inverse(schedule(t)) to be t", got)
