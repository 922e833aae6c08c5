"""What two specs differ in, grouped by what it means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pydantic_core import PydanticUndefined, to_jsonable_python

from ulzoo.spec.component import Component, SpecModel
from ulzoo.spec.dump import canonical, canonical_json, flow_yaml, resolved, spec_hash
from ulzoo.spec.effect import Effect, spec_leaves
from ulzoo.spec.fields import item
from ulzoo.spec.messages import dotted
from ulzoo.spec.model import Spec
from ulzoo.spec.origins import DEFAULT, origin
from ulzoo.spec.text import Location

ABSENT = object()
"""In place of a value that one of the two specs has no field for."""

MEANINGS = {
    Effect.PARAMETERS: "other parameters, or another function of them; checkpoints do not carry over",
    Effect.OBJECTIVE: "the same parameters, trained for something else or in another way",
    Effect.DATA: "other examples",
    Effect.MEASUREMENT: "the same weights, drawn from or measured in another way",
    Effect.PERFORMANCE: "time, memory and devices alone",
    Effect.NOTHING: "names, logs, what is kept",
}


@dataclass(frozen=True)
class Change:
    """One value that differs.

    Attributes:
        path: dotted.
        effect: what it means; the graver one where the two specs' components disagree.
        old, new: plain data, or `ABSENT`.
        old_origin, new_origin: who gave the value (`ulzoo.spec.origin`); empty where it is absent.
        unchosen: whether nobody chose a value that only one has: it was left at its default, or is among
            those of a mapping that is written out whole, as in a run's resolved spec, and equals it.
    """

    path: str
    effect: Effect
    old: Any
    new: Any
    old_origin: str
    new_origin: str
    unchosen: bool = False


def diff(old: Spec, new: Spec) -> tuple[Change, ...]:
    """Every value in which the resolved specs differ in meaning, gravest first, else in the order of fields.

    Spelling is no difference: comments, order, defaults written out or not, 1.0 for 1, a component's name
    with its distribution.
    """
    old_plain, new_plain = resolved(old), resolved(new)
    before, after = _leaves(old, old_plain), _leaves(new, new_plain)
    changes = []
    for location in _in_order(before, after):
        a, b = before.get(location), after.get(location)
        if a is not None and b is not None and a.canonical == b.canonical:
            continue
        if _only_opens(location, a, after) or _only_opens(location, b, before):
            continue
        effects = [leaf.effect for leaf in (a, b) if leaf is not None]
        changes.append(
            Change(
                dotted(location),
                min(effects, key=list(Effect).index),
                ABSENT if a is None else a.value,
                ABSENT if b is None else b.value,
                "" if a is None else origin(old, location, old_plain),
                "" if b is None else origin(new, location, new_plain),
                (b is None and _unchosen(old, location, old_plain))
                or (a is None and _unchosen(new, location, new_plain)),
            )
        )
    return tuple(sorted(changes, key=lambda change: list(Effect).index(change.effect)))


def diff_text(old: Spec, new: Spec, names: Sequence[str]) -> str:
    """`diff` for reading, under the names and hashes of both.

    Of a component that only one of them has, what was left at its default is not told; nor are the defaults
    that a run's resolved spec has written out.
    """
    width = max(map(len, names))
    lines = [f"{name:{width}}  spec {spec_hash(spec)}" for name, spec in zip(names, (old, new), strict=True)]
    changes = diff(old, new)
    told = [change for change in changes if not _default_of_one(change)]
    for effect, group in groupby(told, key=lambda change: change.effect):
        lines += ["", f"{effect.value}: {MEANINGS[effect]}"]
        for change in group:
            origins = " → ".join(part for part in (change.old_origin, change.new_origin) if part)
            lines.append(f"  {change.path}: {_shown(change.old)} → {_shown(change.new)}  ({origins})")
    if not changes:
        return "\n".join([*lines, "", "no difference in meaning"])
    same = not any(change.effect.on_weights for change in changes)
    verdict = (
        "the same trained weights: the hashes are equal" if same else "two experiments: the hashes differ"
    )
    return "\n".join([*lines, "", verdict])


def _default_of_one(change: Change) -> bool:
    return change.unchosen and change.path.rpartition(".")[2] != "type"


@dataclass(frozen=True)
class _Value:
    value: Any
    canonical: str
    effect: Effect


def _leaves(spec: Spec, plain: Any) -> dict[Location, _Value]:
    leaves = spec_leaves(spec, plain, Effect.OBJECTIVE)
    same = spec_leaves(spec, canonical(plain), Effect.OBJECTIVE)
    return {
        leaf.location: _Value(leaf.value, canonical_json(twin.value), leaf.effect)
        for leaf, twin in zip(leaves, same, strict=True)
    }


def _unchosen(spec: Spec, location: Location, plain: Any) -> bool:
    if origin(spec, location, plain) == DEFAULT:
        return True
    around = plain
    for part in location[:-1]:
        around = around[part]
    if not isinstance(around, dict) or canonical_json(around[location[-1]]) != _default(spec, location):
        return False
    return all(origin(spec, (*location[:-1], key), plain) != DEFAULT for key in around)


def _default(spec: Spec, location: Location) -> str | None:
    """The default of the field at a location, as canonical JSON; None if there is none.

    A default of a field around it, such as that of a schedule with an end of its own, goes before.
    """
    here: Any = spec
    default: Any = PydanticUndefined
    for part in location:
        if isinstance(here, SpecModel):
            own = type(here).model_fields[str(part)].get_default(call_default_factory=False)
            default = item(default, part, own)
            here = getattr(here, str(part))
        else:
            here, default = here[part], PydanticUndefined
        if default is not PydanticUndefined:
            default = to_jsonable_python(default)
        if isinstance(here, Component) and isinstance(default, dict):
            named = canonical({"type": here.type})["type"] == canonical(default).get("type")
            default = default if named else PydanticUndefined
    return None if default is PydanticUndefined else canonical_json(default)


def _in_order(before: Iterable[Location], after: Iterable[Location]) -> list[Location]:
    """All locations in the order of the first, those of the second alone behind their predecessors there."""
    order, previous = list(before), -1
    for location in after:
        if location in order:
            previous = order.index(location)
        else:
            previous += 1
            order.insert(previous, location)
    return order


def _only_opens(location: Location, leaf: _Value | None, others: dict[Location, _Value]) -> bool:
    """Whether a null or an empty list stands where the other spec has parts, which are told one by one."""
    return (
        leaf is not None
        and leaf.value in (None, [], {})
        and any(len(other) > len(location) and other[: len(location)] == location for other in others)
    )


def _shown(value: Any) -> str:
    return "absent" if value is ABSENT else flow_yaml(value)
