"""Weightings."""

from __future__ import annotations

import numpy as np

from ulzoo.interfaces import AbstractWeighting, WeightingIO
from ulzoo.testing.case import ModuleCase, Subject
from ulzoo.testing.mismatch import require
from ulzoo.testing.subjects.shapes import DATA, scalar

SUBJECT = Subject(
    contract=AbstractWeighting,
    # As in a decoder, where there is a rate.
    io=WeightingIO(DATA[1:]),
    inputs=lambda config, io: (scalar(),),
    run=lambda module, inputs, key, training: module(*inputs),
    promised=lambda config, io, output: scalar(),
    keyed=False,
)


def positive(case: ModuleCase) -> None:
    """A weight is finite and not negative at every log-SNR from −20 to 20."""
    for log_snr in np.linspace(-20.0, 20.0, 9, dtype=np.float32):
        weight = float(case.built[0](log_snr))
        good = np.isfinite(weight) and weight >= 0
        require(good, f"a finite weight of at least 0 at log-SNR {log_snr:g}", weight)
