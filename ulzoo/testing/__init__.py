"""For authors of components: does one keep what its kind promises?

    import ulzoo.testing
    ulzoo.testing.check_component("acme.patches.v1")

or `pytest --ulzoo acme.patches.v1`. Loads neither JAX nor NumPy until a component is checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ulzoo.testing.conformance import ConformanceError, Failure, check_component, failures

__all__ = ["ConformanceError", "Failure", "check_component", "failures"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ulzoo.testing import conformance

    return getattr(conformance, name)
