"""What a rule is, what it looks at, and what it finds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ulzoo.errors import Problem
from ulzoo.spec.component import Component
from ulzoo.spec.model import Spec


@dataclass(frozen=True)
class Facts:
    """What is known of a spec before the first FLOP.

    Attributes:
        data_shape, latent_shape: (c, *space) of one example and of its z_clean.
        parameters: of each role that the spec has.
        is_bound: whether the prior's rate is an upper bound on the latent's bits.
        divided: for `fsdp` and `tensor`, where the mesh has them, the share of the parameters they divide.
        idle_rules: places of layout rules that decide on no parameter.
    """

    spec: Spec
    data_shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    parameters: Mapping[str, int]
    is_bound: bool
    divided: Mapping[str, float] = field(default_factory=dict)
    idle_rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """Something that is allowed and likely a mistake: `path` is dotted, `text` ends with what to do."""

    path: str
    text: str


Find = Callable[[Facts], Iterator[Finding]]


@dataclass(frozen=True)
class Rule:
    """A rule's code, which never changes its meaning, and the function that applies it."""

    code: str
    find: Find

    @property
    def title(self) -> str:
        """The first line of the function's docstring, without its full stop."""
        return self._paragraphs[0].rstrip(".")

    @property
    def reason(self) -> str:
        """The rest of the docstring, which is the rule's page."""
        return "\n\n".join(self._paragraphs[1:])

    @property
    def _paragraphs(self) -> list[str]:
        return [" ".join(part.split()) for part in (inspect.getdoc(self.find) or "").split("\n\n")]


@dataclass(frozen=True)
class SpecWarning:
    """A finding in its place; printed, never raised."""

    code: str
    problem: Problem

    def __str__(self) -> str:
        return str(replace(self.problem, where=f"{self.problem.where}: warning {self.code}"))


def number(component: Component | None, name: str) -> float | None:
    """A number among a component's fields; None if it has no such field: of strangers nothing is assumed."""
    value = getattr(component, name, None)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
