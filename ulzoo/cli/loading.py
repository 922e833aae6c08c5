"""Specs for commands: what can be told without JAX is told before JAX is loaded, the rest right after it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ulzoo.errors import SpecError

if TYPE_CHECKING:
    from ulzoo.spec import Spec


def load_checked(path: str, overrides: list[str]) -> Spec:
    """The spec in a file.

    Mistakes of structure and unknown names are printed at once. They do not keep the components from being
    looked at: their mistakes come after, so that one call shows all of them.

    Raises:
        SpecError: with the problems that were not printed yet, perhaps none.
    """
    from ulzoo.registry import Registry
    from ulzoo.spec import check_structure, load_spec

    registry = Registry.discover()
    try:
        check_structure(path, overrides, registry)
    except SpecError as first:
        print(first, file=sys.stderr, flush=True)
        told = set(map(str, first.problems))
        try:
            load_spec(path, overrides, registry)
        except SpecError as second:
            more = [problem for problem in second.problems if str(problem) not in told]
            raise SpecError(more) from None
        raise SpecError([]) from None
    return load_spec(path, overrides, registry)
