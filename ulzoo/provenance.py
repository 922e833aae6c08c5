"""Where the components of a spec come from, and what of that has changed since a run was started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ulzoo.registry import Registry
from ulzoo.spec import Component, Spec, spec_where, uses

_TRAINED = ("data", "encoder", "prior", "decoder", "base_model", "stage1", "stage2")
"""Fields of a spec whose components have a part in the trained weights."""


def origins(spec: Spec, registry: Registry) -> dict[str, str]:
    """Component → distribution and version, of every component that a spec uses."""
    return {use.component.type: registry.provenance(use.kind, use.component).origin for use in uses(spec)}


def trained_components(spec: Spec) -> dict[str, str]:
    """Place in the spec → component, of those that have a part in the trained weights."""
    return {use.path: _short(use.component) for use in uses(spec) if use.path.partition(".")[0] in _TRAINED}


def other_components(saved: Mapping[str, str], spec: Spec) -> list[str]:
    """One line for each place of a spec whose component the run was not started with.

    Args:
        saved: the run's, as `origins` gave them.
    """
    known = {name.rpartition("::")[2] for name in saved}
    return [
        f"{path}: {name}, which this run was not started with"
        for path, name in trained_components(spec).items()
        if name not in known
    ]


def new_origins(saved: Mapping[str, str], spec: Spec, registry: Registry) -> list[str]:
    """One line for each distribution whose version, or which itself, is another than when a run was started.

    Equal names mean equal components, so this is no obstacle; but who compares numbers may want to know.
    """
    before = {name.rpartition("::")[2]: origin for name, origin in saved.items()}
    changes: dict[tuple[str, str], list[str]] = {}
    for name, origin in origins(spec, registry).items():
        short = name.rpartition("::")[2]
        if short in before and before[short] != origin:
            changes.setdefault((before[short], origin), []).append(short)
    return [
        f"{', '.join(sorted(names))}: from {old} when the run was started, now from {new}; equal names keep"
        " their meaning"
        for (old, new), names in changes.items()
    ]


def replaced(spec: Spec) -> Iterator[str]:
    """One line, with its place, for each component of a spec that another one replaces."""
    for use in uses(spec):
        if successor := type(use.component).replaced_by:
            where, _ = spec_where(spec, f"{use.path}.type")
            yield (
                f"{where}: {use.path}: {_short(use.component)} keeps its meaning, but {successor} replaces it"
            )


def _short(component: Component) -> str:
    return component.type.rpartition("::")[2]
