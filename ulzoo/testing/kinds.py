"""Which checks each kind is given. A check that says nothing about a kind is not in its list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ulzoo.interfaces import OptimizerIO
from ulzoo.registry import Registry
from ulzoo.spec.component import Component
from ulzoo.testing.case import Case, ModuleCase, Subject
from ulzoo.testing.checks import configuration, keys, module, placement
from ulzoo.testing.subjects import (
    base_model,
    conditioner,
    dataset,
    decoder,
    encoder,
    metric,
    network,
    optimizer,
    prior,
    sampler,
    schedule,
    tracker,
    weighting,
)

Check = Callable[[Any], None]
Checks = dict[str, Check]

CONFIGURATION: Checks = {"documented": configuration.documented, "round_trip": configuration.round_trip}
ARRAYS: Checks = {
    "contract": module.contract,
    "shapes": module.shapes,
    "abstract": module.abstract,
    "jit": module.jit,
    "vmap": module.vmap,
    "gradients": module.gradients,
    "keys": keys.keys,
    "dtypes": placement.dtypes,
    "sharding": placement.sharding,
    "restored": placement.restored,
}
# Nothing is trained through a sampler.
SAMPLING = {name: check for name, check in ARRAYS.items() if name != "gradients"}

MODULES: dict[str, tuple[Subject, Checks]] = {
    "encoder": (encoder.SUBJECT, ARRAYS | {"moments": encoder.moments}),
    "network": (network.SUBJECT, ARRAYS | {"conditions": network.conditions, "matter": network.matter}),
    "prior": (prior.SUBJECT, ARRAYS | {"bound": prior.bound, "noise_level": prior.noise_level}),
    "decoder": (decoder.SUBJECT, ARRAYS),
    "base_model": (base_model.SUBJECT, ARRAYS | {"noise_level": prior.noise_level}),
    "conditioner": (
        conditioner.SUBJECT,
        ARRAYS | {"width": conditioner.width, "unlabelled": conditioner.unlabelled},
    ),
    "schedule": (
        schedule.SUBJECT,
        ARRAYS | {"ends": schedule.ends, "falls": schedule.falls, "inverse": schedule.inverse},
    ),
    "weighting": (weighting.SUBJECT, ARRAYS | {"positive": weighting.positive}),
    "sampler": (sampler.SUBJECT, SAMPLING | {"steps": sampler.steps, "expectation": sampler.expectation}),
}
OTHERS: dict[str, Checks] = {
    "optimizer": {
        name: getattr(optimizer, name)
        for name in ("contract", "abstract", "jit", "dtypes", "lowers", "restored")
    },
    "dataset": {
        name: getattr(dataset, name) for name in ("io", "records", "repeatable", "threads", "draw", "stream")
    },
    "tracker": {name: getattr(tracker, name) for name in ("contract", "follows", "own_folder")},
    "metric": {name: getattr(metric, name) for name in ("stage", "records", "protocol", "repeatable")},
}


def checks_of(kind: str) -> Checks:
    """Name → check, in the order in which they are run."""
    own = MODULES[kind][1] if kind in MODULES else OTHERS.get(kind, {})
    return CONFIGURATION | own


def make_case(kind: str, config: Component, registry: Registry, io: Any = None) -> Case:
    """A configuration made ready to be checked; builds nothing yet."""
    if kind in MODULES:
        subject = MODULES[kind][0]
        return ModuleCase(kind, config, registry, subject, subject.io if io is None else io)
    if kind == "optimizer":
        return optimizer.OptimizerCase(config, registry, OptimizerIO(20) if io is None else io)
    if kind == "metric":
        return metric.MetricCase(config, registry, io)
    return dataset.DatasetCase(kind, config, registry) if kind == "dataset" else Case(kind, config, registry)
