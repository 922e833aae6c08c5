"""Names, shapes and dtypes of a state's leaves, as plain data that can be saved and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

LeafTable = dict[str, tuple[tuple[int, ...], str]]
"""Dotted leaf name → (shape, dtype name)."""

_SHOWN = 10


def named_leaves(tree: Any) -> dict[str, Any]:
    """Leaves of a pytree by dotted path, such as `ema.encoder.layers.0.weight`; None holes have no name.

    Raises:
        ValueError: two leaves would have the same name (a dictionary key that contains dots).
        TypeError: a leaf is neither a JAX array nor a `jax.ShapeDtypeStruct`.
    """
    leaves: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if name in leaves:
            raise ValueError(f"two leaves of the state are called {name!r}")
        if not isinstance(leaf, jax.Array | jax.ShapeDtypeStruct):
            raise TypeError(f"{name or 'the state'} is a {type(leaf).__name__}, not a JAX array")
        leaves[name] = leaf
    return leaves


def by_part(leaves: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Groups named leaves by the first component of their names: a state's top-level fields."""
    parts: dict[str, dict[str, Any]] = {}
    for name, leaf in leaves.items():
        parts.setdefault(part_of(name), {})[name] = leaf
    return parts


def part_of(name: str) -> str:
    """The top-level field that a leaf belongs to."""
    return name.split(".", 1)[0]


def leaf_table(leaves: Mapping[str, Any]) -> LeafTable:
    """Shapes and dtypes of named leaves; the dtype of a PRNG key names its generator (`key<fry>`)."""
    return {name: (tuple(leaf.shape), str(leaf.dtype)) for name, leaf in leaves.items()}


def to_json(table: LeafTable) -> dict[str, Any]:
    return {name: {"shape": list(shape), "dtype": dtype} for name, (shape, dtype) in table.items()}


def from_json(data: Mapping[str, Any]) -> LeafTable:
    """Inverse of `to_json`. Raises KeyError, TypeError, AttributeError or ValueError on anything else."""
    return {
        str(name): (tuple(int(n) for n in entry["shape"]), str(entry["dtype"]))
        for name, entry in data.items()
    }


def table_differences(saved: LeafTable, expected: LeafTable) -> list[str]:
    """One line for each leaf that is absent, unexpected, or of another shape or dtype; empty if all agree."""
    lines = []
    for name in sorted(saved.keys() | expected.keys()):
        if name not in saved:
            lines.append(f"{name}: expected {_shown(expected[name])}, not in the checkpoint")
        elif name not in expected:
            lines.append(f"{name}: in the checkpoint as {_shown(saved[name])}, not expected")
        elif saved[name] != expected[name]:
            lines.append(f"{name}: saved {_shown(saved[name])}, expected {_shown(expected[name])}")
    return lines


def entry_differences(saved: Any, expected: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One line for each expected entry that the saved mapping lacks or has otherwise.

    Further entries at the top are ignored. Nested mappings are compared entry by entry and have no others.
    Both sides are JSON data.
    """
    lines = []
    for key, value in expected.items():
        name = f"{prefix}{key}"
        if not isinstance(saved, Mapping) or key not in saved:
            lines.append(f"{name}: expected {value!r}, not in the checkpoint")
        elif isinstance(value, Mapping) and isinstance(saved[key], Mapping):
            # A nested table is closed: an entry more is another set of components, which is a difference.
            lines += entry_differences(saved[key], value, f"{name}.")
            lines += [
                f"{name}.{more}: saved {saved[key][more]!r}, not expected"
                for more in sorted(saved[key].keys() - value)
            ]
        elif saved[key] != value:
            lines.append(f"{name}: saved {saved[key]!r}, expected {value!r}")
    return lines


def indented(lines: list[str]) -> str:
    """The first lines of a report, indented, and how many more there are."""
    shown = [f"\n    {line}" for line in lines[:_SHOWN]]
    if len(lines) > _SHOWN:
        shown.append(f"\n    and {len(lines) - _SHOWN} more")
    return "".join(shown)


def _shown(leaf: tuple[tuple[int, ...], str]) -> str:
    shape, dtype = leaf
    return f"{shape} {dtype}"
