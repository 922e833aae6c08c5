"""Priors."""

from __future__ import annotations

from typing import Any

from ulzoo.interfaces import AbstractPrior, PriorIO, RateTerms
from ulzoo.testing.case import ModuleCase, Subject
from ulzoo.testing.mismatch import require
from ulzoo.testing.subjects.shapes import LATENT, LOG_SNR, array, scalar


def _promised(config: Any, io: PriorIO, output: Any) -> Any:
    positions = array(*io.latent_shape[1:])
    return RateTerms(positions, positions, positions, scalar(), scalar())


SUBJECT = Subject(
    contract=AbstractPrior,
    io=PriorIO(LATENT, LOG_SNR),
    inputs=lambda config, io: (array(*io.latent_shape), scalar()),
    run=lambda module, inputs, key, training: module.rate(*inputs, key=key, inference=not training),
    promised=_promised,
    draws=True,
    bounds={1: (0.05, 0.95)},
)


def bound(case: ModuleCase) -> None:
    """It says whether its rate is an upper bound."""
    is_bound = getattr(case.module, "is_bound", None)
    require(isinstance(is_bound, bool), "is_bound to be True or False", repr(is_bound))


def noise_level(case: ModuleCase) -> None:
    """Its least noise is the latent's: one number for encoder, prior, decoder and base model."""
    schedule = getattr(case.module, "schedule", None)
    for name, level in (
        ("schedule.log_snr_max", getattr(schedule, "log_snr_max", None)),
        ("log_snr", getattr(case.module, "log_snr", None)),
    ):
        if level is not None:
            require(level == case.io.log_snr, f"{name} to be the latent's log-SNR {case.io.log_snr:g}", level)
