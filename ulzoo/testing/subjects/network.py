"""Denoiser networks."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax

from ulzoo.interfaces import AbstractDenoiser, Condition, ConditionIO, NetworkIO
from ulzoo.testing.case import ModuleCase, Subject
from ulzoo.testing.mismatch import Mismatch, require
from ulzoo.testing.subjects.shapes import COMPUTE, array, scalar

SHAPE = (3, 8, 8)
SPATIAL = (4, 4, 4)
"""The condition's grid is not the input's: a decoder is told a latent, which is coarser than its image."""


def _inputs(config: Any, io: NetworkIO) -> tuple[Any, ...]:
    vector = array(io.condition.vector) if io.condition.vector else None
    spatial = None if io.condition.spatial is None else array(*io.condition.spatial)
    return array(*io.shape), scalar(), Condition(vector, spatial)


SUBJECT = Subject(
    contract=AbstractDenoiser,
    io=NetworkIO(SHAPE, ConditionIO(6, SPATIAL)),
    inputs=_inputs,
    run=lambda module, inputs, key, training: module(*inputs, key=key if training else None),
    promised=lambda config, io, output: array(*io.shape, dtype=COMPUTE),
    narrow=(0, 2),
)


def conditions(case: ModuleCase) -> None:
    """Any network serves in any role: with a vector, a spatial array, both, or no condition."""
    io = case.io
    spatial = io.condition.spatial or SPATIAL
    for words, condition in (
        ("no condition", ConditionIO()),
        ("a vector", ConditionIO(6)),
        ("a spatial array", ConditionIO(0, spatial)),
    ):
        try:
            narrower = NetworkIO(io.shape, condition)
            module = case.abstract_build(narrower)
            inputs = _inputs(case.config, narrower)
            output = eqx.filter_eval_shape(lambda module, inputs: module(*inputs), module, inputs)
        except Exception as error:
            raise Mismatch(f"a network with {words}", f"{type(error).__name__}: {error}") from error
        require(output.shape == io.shape, f"shape {io.shape} with {words}", output.shape)


def matter(case: ModuleCase) -> None:
    """Input, log-SNR and each part of the condition all change the output."""
    arrays, key = case.parts[0], jax.random.key(1)
    inputs = case.inputs(1)
    z_t, log_snr, told = inputs
    base = case.single(arrays, inputs, key)
    others = {"its input": (z_t + 1.0, log_snr, told), "the log-SNR": (z_t, log_snr + 1.0, told)}
    # One part at a time: a network that forgot the label would pass on the strength of the other.
    if told.vector is not None:
        others["the condition's vector"] = (z_t, log_snr, Condition(told.vector + 1.0, told.spatial))
    if told.spatial is not None:
        others["the condition's spatial array"] = (z_t, log_snr, Condition(told.vector, told.spatial + 1.0))
    for word, other in others.items():
        change = abs(case.single(arrays, other, key) - base).max()
        require(change > 0, f"an output that depends on {word}", "one that does not")
