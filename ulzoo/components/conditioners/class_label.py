"""Class condition: a learned vector for each class and one for "no class" (for classifier-free guidance)."""

from __future__ import annotations

from typing import Annotated, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from pydantic import Field

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractConditioner, ConditionerIO, RawConditions
from ulzoo.spec import Component, Effect


class ClassLabel(AbstractConditioner):
    """Row `num_classes` of the table is "no class"."""

    table: Float[Array, "n d"]
    width: int = eqx.field(static=True)
    dropout: float = eqx.field(static=True)

    def __call__(self, raw: RawConditions, *, key: PRNGKeyArray | None = None) -> Float[Array, "d"]:
        if "label" not in raw:
            return self.null()
        label = raw["label"]
        if key is not None and self.dropout:
            dropped = jax.random.bernoulli(key, self.dropout)
            label = jnp.where(dropped, self.table.shape[0] - 1, label)
        return self.table[label]

    def null(self) -> Float[Array, "d"]:
        return self.table[-1]


class ClassLabelConfig(Component):
    """A learned vector for each class. Source: Ho & Salimans 2207.12598 (dropped labels)."""

    type: Literal["ulzoo.class_label.v1"] = "ulzoo.class_label.v1"
    width: int = Field(default=128, ge=1)
    """Width of the vector."""
    dropout: Annotated[float, Effect.OBJECTIVE] = Field(default=0.1, ge=0, lt=1)
    """Probability that training replaces the label by "no class"; guidance needs it above 0."""

    def build(self, io: ConditionerIO, *, key: PRNGKeyArray) -> ClassLabel:
        """Raises InterfaceError if the data has no labels."""
        if io.num_classes is None:
            raise InterfaceError("the data has no labels to condition on")
        table = jax.random.normal(key, (io.num_classes + 1, self.width))
        return ClassLabel(table=table, width=self.width, dropout=self.dropout)
