"""`check_component`: every check of a component's kind, in one call."""

from __future__ import annotations

import inspect
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from ulzoo.errors import RegistryError, UlzooError
from ulzoo.registry import Registry
from ulzoo.spec.component import Component
from ulzoo.testing.case import Case
from ulzoo.testing.example import example_config
from ulzoo.testing.kinds import checks_of, make_case
from ulzoo.testing.mismatch import Mismatch


@dataclass(frozen=True)
class Failure:
    """One promise that a component does not keep: `component: check: expected …, got …`.

    Attributes:
        raised: whether `got` is an error of the component's own.
    """

    component: str
    check: str
    expected: str
    got: str
    raised: bool = False

    def __str__(self) -> str:
        return f"{self.component}: {self.check}: expected {self.expected}, got {self.got}"


class ConformanceError(UlzooError, AssertionError):
    """A component does not keep what its kind promises; `failures` holds each promise."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        super().__init__("\n".join(map(str, failures)))


def check_component(
    component: str | type[Component],
    example: Mapping[str, Any] | None = None,
    *,
    kind: str | None = None,
    io: Any = None,
    registry: Registry | None = None,
) -> None:
    """Check all that a component's kind promises.

    Args:
        component: a name that is installed, or a configuration class (then with `kind`).
        example: fields of the configuration to check, as YAML would give them; by default the class's own
            `example`.
        kind: needed for a class, and for a name that several kinds have.
        io: what to build for, such as `EncoderIO((3, 4, 16, 16))`; by default a small image.
        registry: where names are looked up; by default what is installed.

    Raises:
        ConformanceError: with every promise that is not kept.
        RegistryError: there is no such component, it is broken, or its example is no configuration.
    """
    found = failures(component, example, kind=kind, io=io, registry=registry)
    if found:
        raise ConformanceError(found)


def failures(
    component: str | type[Component],
    example: Mapping[str, Any] | None = None,
    *,
    kind: str | None = None,
    io: Any = None,
    registry: Registry | None = None,
) -> list[Failure]:
    """The promises that a component does not keep; otherwise as `check_component`."""
    case = prepare(component, example, kind=kind, io=io, registry=registry)
    found: list[Failure] = []
    for name in applicable(case.kind):
        failure = run_check(case, name)
        # What cannot be built fails every check in the same words; once is enough.
        told = failure is not None and any(f.raised and f.got == failure.got for f in found)
        if failure is not None and not told:
            found.append(failure)
    return found


def prepare(
    component: str | type[Component],
    example: Mapping[str, Any] | None = None,
    *,
    kind: str | None = None,
    io: Any = None,
    registry: Registry | None = None,
) -> Case:
    """A component's example, ready to be checked. Arguments and errors as `check_component`."""
    registry = Registry.discover() if registry is None else registry
    if isinstance(component, str):
        kind = kind_of(component, registry) if kind is None else kind
        cls = registry.load(kind, component)
    elif kind is None:
        raise RegistryError(f"{component.__qualname__}: say of which kind this class is: kind='encoder'")
    else:
        registry, cls = registry.with_local(kind, component), component
    folder = tempfile.TemporaryDirectory(prefix="ulzoo-example-")
    case = make_case(kind, example_config(cls, registry, example, Path(folder.name)), registry, io)
    # Its files go when it goes.
    case.folder = folder
    return case


def kind_of(name: str, registry: Registry) -> str:
    """The kind of a name that is installed. Raises RegistryError for none or several."""
    kinds = registry.kinds_of(name)
    if len(kinds) > 1:
        raise RegistryError(f"{name!r} is the name of several components: {', '.join(kinds)}\n    say kind=…")
    return kinds[0]


def applicable(kind: str) -> list[str]:
    """Names of the checks that can be run for a kind on the devices that are here."""
    names = list(checks_of(kind))
    return names if jax.device_count() > 1 else [name for name in names if name != "sharding"]


def run_check(case: Case, name: str) -> Failure | None:
    """One check; an error of the component's own is a failure of it."""
    check = checks_of(case.kind)[name]
    try:
        # Accelerators round float32 products to fewer bits unless asked; values are compared here.
        with jax.default_matmul_precision("highest"):
            check(case)
    except Mismatch as mismatch:
        return Failure(case.name, name, mismatch.expected, mismatch.got)
    except Exception as error:
        promise = (inspect.getdoc(check) or name).splitlines()[0].rstrip(".")
        text = (str(error).strip() or "no message").splitlines()[0]
        got = f"{type(error).__name__}: {text}{_place(error, case)}"
        return Failure(case.name, name, f"that {promise[0].lower()}{promise[1:]}", got, raised=True)
    return None


def _place(error: Exception, case: Case) -> str:
    """` at file:line` of the component's own line that failed; nothing if none of its lines was reached."""
    source = inspect.getsourcefile(type(case.config))
    folder = str(Path(source).parent) if source else None
    lines = [f for f in traceback.extract_tb(error.__traceback__) if folder and f.filename.startswith(folder)]
    return f" at {lines[-1].filename}:{lines[-1].lineno}" if lines else ""
