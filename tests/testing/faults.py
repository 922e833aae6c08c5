"""Components that each break one promise, and the check that must find it.

Each is as small as a component can be, so that a check costs next to nothing to compile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import jax

from ulzoo.interfaces import (
    AbstractEncoder,
)
from ulzoo.spec import Component


@dataclass(frozen=True)
class Fault:
    """A faulty class, its kind, the check that finds it, and words of the message."""

    cls: type[Component]
    kind: str
    check: str
    words: str
    example: dict = field(default_factory=dict)


FAULTS: dict[str, Fault] = {}


def fault(kind: str, check: str, words: str, **example: Any):
    def register(cls: type[Component]) -> type[Component]:
        FAULTS[cls.__name__] = Fault(cls, kind, check, words, example)
        return cls

    return register


class Scale(AbstractEncoder):
    weight: Any

    def __call__(self, x, *, key=None):
        return (x * self.weight).astype(x.dtype)


class ScaleConfig(Component):
    """Scales the data."""

    type: Literal["faulty.scale.v1"] = "faulty.scale.v1"

    def build(self, io, *, key):
        return Scale(jax.random.normal(key, ()))


def encoder(check: str, words: str, module: type, **example: Any):
    """A configuration whose module is `module(weight)`."""

    def build(self, io, *, key):
        return module(jax.random.normal(key, ()))

    config = type(module.__name__ + "Config", (ScaleConfig,), {"build": build, "__doc__": "Faulty."})
    FAULTS[module.__name__] = Fault(config, "encoder", check, words, example)
    return module


def component(kind: str, check: str, words: str, make: Any, **more: Any):
    """A faulty component of a kind from a function of (io, key) that makes its module."""

    def build(self, io, *, key):
        return make(io, key)

    name = f"{kind.title().replace('_', '')}_{check}_{len(FAULTS)}"
    config = type(name, (ScaleConfig,), {"build": build, "__doc__": "Faulty.", **more})
    FAULTS[name] = Fault(config, kind, check, words)
