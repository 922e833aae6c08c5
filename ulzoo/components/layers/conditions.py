"""Several conditioners as one condition: their vectors side by side, and their grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ulzoo.errors import inside
from ulzoo.interfaces import (
    AbstractConditioner,
    AbstractGridConditioner,
    Condition,
    ConditionerIO,
    ConditionIO,
    RawConditions,
)

Conditioners = tuple[AbstractConditioner | AbstractGridConditioner, ...]


def build_conditioners(configs: Sequence[Any], io: ConditionerIO, *, key: PRNGKeyArray) -> Conditioners:
    """The modules of `conditioners`, each with a key of its own. Raises InterfaceError naming the one."""
    built = []
    for i, config in enumerate(configs):
        with inside(f"conditioners.{i}"):
            built.append(config.build(io, key=jax.random.fold_in(key, i)))
    return tuple(built)


def widths(conditioners: Conditioners) -> tuple[int, int]:
    """Channels of all vectors, and of all grids."""
    grids = [each.width for each in conditioners if isinstance(each, AbstractGridConditioner)]
    return sum(each.width for each in conditioners) - sum(grids), sum(grids)


def told(conditioners: Conditioners, channels: int, space: tuple[int, ...]) -> ConditionIO:
    """What a network is told beside `channels` channels that stand on the grid already."""
    vector, grids = widths(conditioners)
    return ConditionIO(vector, (channels + grids, *space) if channels + grids else None)


def gathered(conditioners: Conditioners, raw: RawConditions | None, *, key: PRNGKeyArray | None) -> Condition:
    """What all of them say; `raw` None: nothing is known. With a key, each is dropped on its own."""
    count = len(conditioners)
    keys = [None] * count if key is None else jax.random.split(key, max(count, 1))[:count]
    vectors: list[Array] = []
    grids: list[Array] = []
    for conditioner, k in zip(conditioners, keys, strict=True):
        of_its_kind = grids if isinstance(conditioner, AbstractGridConditioner) else vectors
        of_its_kind.append(conditioner.null() if raw is None else conditioner(raw, key=k))
    return Condition(*(jnp.concatenate(parts) if parts else None for parts in (vectors, grids)))


def beside(condition: Condition, z: Array) -> Condition:
    """The condition with `z` before its grids, which are cut where `z` is a shorter clip."""
    grids = cut(condition, z).spatial
    return Condition(condition.vector, z if grids is None else jnp.concatenate([z, grids]))


def cut(condition: Condition, z: Array) -> Condition:
    """The condition of a clip as long as `z`, the first frames of what it was made for."""
    if condition.spatial is None or condition.spatial.shape[1] == z.shape[1]:
        return condition
    return Condition(condition.vector, condition.spatial[:, : z.shape[1]])
