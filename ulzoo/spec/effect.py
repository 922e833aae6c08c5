"""What a value of a spec has an effect on: declared beside the field, read by the hash and by `ulzoo diff`.

    remat: Annotated[bool, Effect.PERFORMANCE] = False      one field
    class NormalPriorConfig(Component):
        effect: ClassVar[Effect] = Effect.OBJECTIVE         every field of the class that says nothing itself

What says nothing has the effect of the field that holds it: fields of a role count as `PARAMETERS`, those of
a dataset as `DATA`, of an optimiser as `OBJECTIVE`, of a metric as `MEASUREMENT`. So an unknown field of a
plugin's network counts towards the hash, and no run is resumed over a change of it, until its author says
otherwise. Inside what does not touch the weights (`sample`, `evaluate`) nothing can claim to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from ulzoo.spec.component import SpecModel
    from ulzoo.spec.text import Location


T = TypeVar("T")


class Effect(Enum):
    """From the gravest to none."""

    PARAMETERS = "parameters"
    """The tree of trained parameters, or the function they are parameters of."""
    OBJECTIVE = "objective"
    """What they are trained for and how: loss, noise, optimiser, steps, seed."""
    DATA = "data"
    """The examples."""
    MEASUREMENT = "measurement"
    """What is drawn from and measured of the same weights."""
    PERFORMANCE = "performance"
    """Time, memory and devices alone; results agree up to rounding."""
    NOTHING = "nothing"
    """Names, logs, what is kept on disk."""

    @property
    def on_weights(self) -> bool:
        """Whether the trained weights depend on it, so that the spec's hash does."""
        return self in (Effect.PARAMETERS, Effect.OBJECTIVE, Effect.DATA)


@dataclass(frozen=True)
class Later:
    """Marks a field that came later than its component: at its default it is no part of the hash.

        crop_size: Annotated[int | None, Later()] = None

    So a spec from before, which cannot say it, keeps its hash. The default must mean what was done before.
    """


@dataclass(frozen=True)
class Leaf:
    """A value of a resolved spec that is compared as a whole: a scalar, or a list or mapping of such."""

    location: Location
    value: Any
    effect: Effect


def effect_of(model: type[SpecModel], name: str, held: Effect) -> Effect:
    """The effect of a model's field.

    Args:
        held: the effect of the field that holds the model.
    """
    declared = _declared(model.model_fields[name]) or model.effect
    if declared is None or (declared.on_weights and not held.on_weights):
        return held
    return declared


def spec_leaves(value: Any, plain: Any, held: Effect, location: Location = ()) -> Iterator[Leaf]:
    """Every leaf of a model with its effect, in the order of fields.

    Args:
        value: a model, or what stands in a field of one.
        plain: the same as plain data.
        held: the effect of the field that holds `value`.
    """
    if (parts := _parts(value, held)) is None:
        yield Leaf(location, plain, held)
        return
    for part, inner, effect in parts:
        yield from spec_leaves(inner, plain[part], effect, (*location, part))


def on_weights(value: Any, plain: Any, held: Effect) -> Any:
    """`plain` without what does not touch the trained weights; arguments as of `spec_leaves`."""
    if (parts := _parts(value, held)) is None:
        return plain
    kept = [
        (part, on_weights(inner, plain[part], effect))
        for part, inner, effect in parts
        if effect.on_weights and not _is_later(value, part, inner)
    ]
    return dict(kept) if isinstance(plain, dict) else [inner for _, inner in kept]


def _parts(value: Any, held: Effect) -> list[tuple[str | int, Any, Effect]] | None:
    """Parts of a value that may differ in effect, None for a leaf."""
    from ulzoo.spec.component import SpecModel

    if isinstance(value, SpecModel):
        model = type(value)
        return [(name, getattr(value, name), effect_of(model, name, held)) for name in model.model_fields]
    if isinstance(value, tuple | list) and any(isinstance(part, SpecModel) for part in value):
        return [(i, part, held) for i, part in enumerate(value)]
    if isinstance(value, dict) and any(isinstance(part, SpecModel) for part in value.values()):
        return [(key, part, held) for key, part in value.items()]
    return None


def _is_later(value: Any, part: str | int, inner: Any) -> bool:
    """Whether a field of a model came later and stands at its default."""
    info = getattr(type(value), "model_fields", {}).get(part)
    return info is not None and _extra(info, Later) is not None and inner == info.default


def _declared(info: FieldInfo) -> Effect | None:
    """The effect among a field's annotations; pydantic keeps the outermost apart from the type."""
    return _extra(info, Effect)


def _extra(info: FieldInfo, kind: type[T]) -> T | None:
    extras = (*info.metadata, *_annotations(info.annotation))
    return next((extra for extra in extras if isinstance(extra, kind)), None)


def _annotations(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        yield from extras
    for argument in get_args(annotation):
        yield from _annotations(argument)
