"""Decoders."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from ulzoo.interfaces import (
    AbstractConditionedDecoder,
    AbstractDecoder,
    AbstractSampler,
    DecoderIO,
    LossTerms,
)
from ulzoo.testing.case import Subject
from ulzoo.testing.subjects.shapes import CLASSES, LABEL, LOG_SNR, array, scalar


class OneStep(AbstractSampler):
    """The denoiser's expectation at the noisiest level."""

    steps: int = 1

    def __call__(self, denoise: Any, z: Array, log_snrs: Array, *, key: Any, clean: bool) -> Array:
        return denoise(z, log_snrs[0]).astype(jnp.float32)


def _run(module: Any, inputs: Any, key: Any, training: bool) -> Any:
    x, z_0, t, raw = inputs
    told = {"raw": raw} if isinstance(module, AbstractConditionedDecoder) else {}
    outputs = {"distortion": module.distortion(x, z_0, t, key=key, inference=not training, **told)}
    if not training:
        outputs["decode"] = module.decode(z_0, OneStep(), key=key, **told)
    return outputs


def _promised(config: Any, io: DecoderIO, output: Any) -> Any:
    return {"distortion": LossTerms(scalar(), scalar(), scalar()), "decode": array(*io.data_shape)}


SUBJECT = Subject(
    contract=AbstractDecoder,
    io=DecoderIO((3, 8, 8), (4, 4, 4), LOG_SNR),
    inputs=lambda config, io: (
        array(*io.data_shape),
        array(*io.latent_shape),
        scalar(),
        {} if io.num_classes is None else {"label": LABEL},
    ),
    run=_run,
    promised=_promised,
    draws=True,
    bounds={2: (0.05, 0.95), 3: (0, CLASSES)},
)
