"""Errors that users meet. Each message is tested text: where, what is wrong, what to do."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with what the user gave.

    Attributes:
        where: `file:line:column`, a flag such as `--set stage1.steps=x`, or `<spec>`.
        path: dotted path inside the spec (`encoder.channels`), may be empty.
        text: what is wrong, and the value that was found.
        fix: choices and remedies, one a line; printed indented under the text.
        order: sorts problems of one report (file order, then line and column).
    """

    where: str
    path: str
    text: str
    fix: tuple[str, ...] = ()
    order: tuple[int, int, int] = (0, 0, 0)

    def __str__(self) -> str:
        head = ": ".join(part for part in (self.where, self.path, self.text) if part)
        return "\n".join((head, *(f"    {line}" for line in self.fix)))


class UlzooError(Exception):
    """A mistake that the user can mend; the CLI prints it without traceback and exits 2."""


class SpecError(UlzooError):
    """A spec that cannot be used; holds every problem of the pass, sorted by line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.order))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class RegistryError(UlzooError):
    """A component that is unknown, ambiguous, broken or badly named."""


class InterfaceError(UlzooError):
    """Components whose shapes or contracts do not fit together.

    Attributes:
        path: dotted path of the field at fault, relative to the component that raised it; may be empty.
        text: what is wrong.
    """

    def __init__(self, text: str, path: str = "") -> None:
        self.text, self.path = text, path
        super().__init__(f"{path}: {text}" if path else text)


@contextmanager
def inside(part: str) -> Iterator[None]:
    """Say of what is raised while building `part` of a component that it was there.

    The path of an InterfaceError is prefixed. What cannot be imported, mostly in a plugin that imports its
    module when it is built, becomes one.
    """
    try:
        yield
    except InterfaceError as error:
        raise InterfaceError(error.text, f"{part}.{error.path}" if error.path else part) from error
    except ImportError as error:
        text = f"cannot be built: {type(error).__name__}: {error}{raised_at(error)}"
        raise InterfaceError(text, part) from error


def raised_at(error: BaseException) -> str:
    """` at file:line` of the innermost line that is neither Python's own import nor a library's, or ""."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
        and not any(part in frame.filename.replace("\\", "/") for part in _NOT_MEANT)
    ]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


_NOT_MEANT = (
    "/importlib/__init__.py",
    "/ulzoo/loading.py",
    *(f"/site-packages/{library}/" for library in ("jax", "equinox", "jaxtyping")),
)


class CheckpointError(UlzooError):
    """A checkpoint that is missing, damaged, or belongs to another spec or tree."""


class DamageError(CheckpointError):
    """A checkpoint whose files are missing, cut or changed; one before it may be whole."""


class DataError(UlzooError):
    """Data that is missing, unreadable, or other than the spec says."""


class RunError(UlzooError):
    """A run directory that is missing, taken, or not in the state that the command needs."""


class TrainingError(UlzooError):
    """Training that cannot go on, such as a loss that is not finite."""


class NonFiniteError(TrainingError):
    """A loss or gradient that is NaN or infinite, or too many skipped steps in a row.

    Attributes:
        step: the (last) step that was not finite.
        metrics: that step's.
    """

    def __init__(self, text: str, step: int, metrics: Mapping[str, float]) -> None:
        self.step, self.metrics = step, dict(metrics)
        super().__init__(text)
