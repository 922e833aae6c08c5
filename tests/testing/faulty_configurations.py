"""Encoders whose configuration is at fault."""

from __future__ import annotations

from typing import ClassVar

import jax
from faults import Scale, ScaleConfig, fault
from pydantic import Field, field_serializer

from ulzoo.errors import InterfaceError
from ulzoo.spec import SpecModel


class Refusing(ScaleConfig):
    """Sound but for what is said below it."""

    def build(self, io, *, key):
        if io.moments != 1:
            raise InterfaceError("no variance")
        return Scale(jax.random.normal(key, ()))


@fault("encoder", "documented", "expected a docstring on NoDocstring, got none")
class NoDocstring(Refusing):
    pass


@fault("encoder", "documented", "expected a docstring under the field 'width', got none")
class NoDescription(Refusing):
    """A field without a word."""

    width: int = Field(default=1, gt=0)


@fault("encoder", "documented", "expected a bound on the number 'width', such as Field(gt=0), got none")
class NoBound(Refusing):
    """A number that may be anything."""

    width: int = 1
    """Channels."""


class Undescribed(SpecModel):
    """A part with a field without a word."""

    width: int = Field(default=1, gt=0)


class Unbounded(SpecModel):
    """A part with a number that may be anything."""

    width: int = 1
    """Channels."""


@fault("encoder", "documented", "expected a docstring under the field 'levels.width', got none")
class PartWithoutDescription(Refusing):
    """A list of mappings, one of whose fields says nothing."""

    levels: tuple[Undescribed, ...] = ()
    """From fine to coarse."""


@fault("encoder", "documented", "expected a bound on the number 'level.width', such as Field(gt=0), got none")
class PartWithoutBound(Refusing):
    """A mapping with a number that may be anything."""

    level: Unbounded | None = None
    """The coarsest."""


@fault("encoder", "documented", "expected replaced_by to name an installed encoder, got no encoder named")
class ReplacedByNothing(Refusing):
    """Sends its readers nowhere."""

    replaced_by: ClassVar[str | None] = "faulty.gone.v2"


@fault("encoder", "round_trip", "expected what it writes to be read again, got width:", width=3)
class WritesWords(Refusing):
    """Writes its width as a word."""

    width: int = Field(default=1, gt=0)
    """Channels."""

    @field_serializer("width")
    def _word(self, value: int) -> str:
        return f"{value} channels"


@fault("encoder", "round_trip", "after writing and reading, got", width=3)
class WritesAnother(Refusing):
    """Writes another width than it has."""

    width: int = Field(default=1, gt=0)
    """Channels."""

    @field_serializer("width")
    def _more(self, value: int) -> int:
        return value + 1
