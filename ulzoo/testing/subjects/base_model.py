"""Base models."""

from __future__ import annotations

from typing import Any

from ulzoo.interfaces import AbstractBase, BaseIO, LossTerms
from ulzoo.testing.case import Subject
from ulzoo.testing.subjects.shapes import CLASSES, LABEL, LATENT, LOG_SNR, array, scalar


def _inputs(config: Any, io: BaseIO) -> tuple[Any, ...]:
    return array(*io.latent_shape), {} if io.num_classes is None else {"label": LABEL}, scalar()


def _run(module: Any, inputs: Any, key: Any, training: bool) -> Any:
    z, raw, t = inputs
    outputs = {"loss": module.loss(z, raw, t, key=key, inference=not training)}
    if not training:
        log_snr = 5.0 - 10.0 * t
        outputs["denoise"] = module.denoise(z, log_snr, raw)
        outputs["denoise, unconditional"] = module.denoise(z, log_snr, None)
    return outputs


def _promised(config: Any, io: BaseIO, output: Any) -> Any:
    latent = array(*io.latent_shape)
    terms = LossTerms(scalar(), scalar(), scalar())
    return {"loss": terms, "denoise": latent, "denoise, unconditional": latent}


SUBJECT = Subject(
    contract=AbstractBase,
    io=BaseIO(LATENT, LOG_SNR, CLASSES),
    inputs=_inputs,
    run=_run,
    promised=_promised,
    draws=True,
    bounds={1: (0, CLASSES), 2: (0.05, 0.95)},
)
