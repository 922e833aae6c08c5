"""Base of every component's configuration, ours and a plugin's, and the field type that names one in a spec.

How to write a configuration (this is the whole idiom):

    class DiffusionPriorConfig(Component):
        type: Literal["ulzoo.diffusion_prior.v1"] = "ulzoo.diffusion_prior.v1"
        network: Annotated[Component, ComponentOf("network")]
        '''The denoiser.'''
        schedule: Annotated[Component, ComponentOf("schedule")] = default_component("ulzoo.linear.v1")
        '''Noise schedule; its log-SNR is the natural log of α²/σ².'''
        weighting: Annotated[Component, ComponentOf("weighting")] | None = None
        conditioners: tuple[Annotated[Component, ComponentOf("conditioner")], ...] = ()
        width: int = Field(default=128, gt=0)
        '''Channels.'''
        remat: Annotated[bool, Effect.PERFORMANCE] = False
        '''Recompute activations.'''

        def build(self, io: PriorIO, *, key: PRNGKeyArray) -> DiffusionPrior: ...

- In YAML such a field is a mapping with `type`, validated by the class that the registry finds. In Python an
  instance of that class is taken as it is: `DiffusionPriorConfig(network=ViTConfig(width=64))`.
- `default_component(name, **fields)` is the only way to give a component as default. It names, it imports
  nothing: it resolves when a configuration is made, through the registry of the spec being loaded, or, in
  Python, through the installed distributions. Components never import one another.
- `Effect` says what a value changes, for the hash and `ulzoo diff`; undeclared, it is what the field that
  holds the component says: see `ulzoo.spec.effect`.
- Sequences are `tuple[...]`, so that configurations stay hashable. Values are bounded by `Field(gt=…)`. The
  docstring under a field (or its `description=`) is the reference manual: name units.
- Checks across fields: `@field_validator("later")` (mode "after", earlier fields in `info.data`) gives the
  most exact place in messages, but does not run on a default; `@model_validator(mode="after")` does. Raise
  ValueError with a plain sentence that ends with the value found. No "before" and no "wrap" validators: they
  switch off the strict reading of text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema, to_json

from ulzoo.errors import RegistryError
from ulzoo.spec.effect import Effect

SEEDS = 2**32
"""Seeds are below this: of a longer one JAX's keys would take the last 32 bits, another seed's."""

KIND_KEY = "x-component"
"""Stands in a model's JSON schema for whatever components of a kind are installed; its value is the kind."""


class SpecModel(BaseModel):
    """Frozen data: unknown keys are refused, YAML values are not coerced, numbers are finite."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    effect: ClassVar[Effect | None] = None
    """Of every field that declares none itself; None: that of the field that holds the model."""


class Component(SpecModel):
    """Configuration of one component: subclasses add `type`, a Literal with itself as default, and fields.

    `build(io, *, key)` makes the component's Equinox module (see `ulzoo.interfaces`); a dataset has `io()`
    and `open(split)` instead. The registry refuses a class without them.
    """

    example: ClassVar[Mapping[str, Any]] = {}
    """Fields of a small configuration that works, as YAML would give them, without `type`: shown to readers,
    and built by `ulzoo.testing`. Needed where a field is required."""

    replaced_by: ClassVar[str | None] = None
    """Name of the component to use in new specs instead of this one, which keeps its meaning."""

    type: str

    @classmethod
    def example_files(cls, folder: Path) -> Mapping[str, Any]:
        """Writes the files that `example` names, small ones, below `folder`; gives the fields that say where
        they are. `ulzoo.testing` calls it, for components that cannot be built without files."""
        return {}

    if TYPE_CHECKING:
        build: ClassVar[Callable[..., Any]]


class ComponentFinder(Protocol):
    """What `ComponentOf` asks of a registry; `ulzoo.registry.Registry` is one."""

    def find(self, kind: str, name: str) -> Any: ...

    def load(self, kind: str, name: str) -> type[Component]: ...


@dataclass(frozen=True)
class Resolution:
    """Validation context: where component names are looked up, and whether their classes are imported."""

    registry: ComponentFinder
    load: bool = True


@dataclass(frozen=True)
class ComponentOf:
    """`Annotated[Component, ComponentOf(kind)]`: a mapping with `type`, validated by the class so named."""

    kind: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._resolve)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {KIND_KEY: self.kind}

    def _resolve(self, value: Any, info: ValidationInfo) -> Component:
        if isinstance(value, Component):
            return value
        expected = f"expected a mapping whose 'type' names a component of kind {self.kind}"
        if not isinstance(value, dict):
            bare = isinstance(value, str) and re.fullmatch(r"[\w.:-]{1,80}", value)
            raise _error(f"{expected}\nwrite {{type: {value}}}" if bare else expected)
        if "type" not in value:
            raise _at_type(_error(f"missing; {expected}", show=False), None)
        name = value["type"]
        if not isinstance(name, str):
            raise _at_type(_error(f"expected the name of a component of kind {self.kind}"), name)
        resolution = info.context if isinstance(info.context, Resolution) else Resolution(installed())
        try:
            if not resolution.load:
                resolution.registry.find(self.kind, name)
                return Component.model_construct(type=name)
            cls = resolution.registry.load(self.kind, name)
        except RegistryError as error:
            raise _at_type(_error(str(error), show=False), name) from error
        # The name may be written `distribution::name`; the class knows the name alone.
        fields = {**value, "type": cls.model_fields["type"].default}
        if info.mode == "json":
            component = cls.model_validate_json(to_json(fields), strict=True, context=resolution)
        else:
            component = cls.model_validate(fields, context=resolution)
        return component if component.type == name else component.model_copy(update={"type": name})


def default_component(name: str, /, **fields: Any) -> Any:
    """Default of a `ComponentOf` field, resolved by name when a configuration is made."""
    return Field(default={"type": name, **fields}, validate_default=True)


def _error(text: str, *, show: bool = True) -> PydanticCustomError:
    """`text`'s further lines are remedies; `show`: whether the message goes on with the value found."""
    head, *fix = text.split("\n")
    context = {"text": head, "fix": tuple(map(str.strip, fix)), "show": show}
    return PydanticCustomError("ulzoo", "{text}", context)


def _at_type(error: PydanticCustomError, name: Any) -> ValidationError:
    details = InitErrorDetails(type=error, loc=("type",), input=name)
    return ValidationError.from_exception_data("component", [details])


def installed() -> ComponentFinder:
    """The registry of this Python environment, for those who were given none."""
    # Imported here, because the registry is built on this module.
    from ulzoo.registry import Registry

    return Registry.discover()
