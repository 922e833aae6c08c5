"""How a spatial condition (the latent, in a decoder) enters a network."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.components.layers.linear import Pointwise
from ulzoo.components.layers.space import fit, fitted
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import Condition, ConditionIO


class SpatialEntry(eqx.Module):
    """Adds the spatial condition, brought to this grid's resolution, through a linear map over channels."""

    linear: Pointwise | None
    grid: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self, condition: ConditionIO, grid: Sequence[int], channels: int, *, key: PRNGKeyArray
    ) -> None:
        self.grid = tuple(grid)
        if condition.spatial is None:
            self.linear = None
        else:
            shape = fitted(condition.spatial, self.grid, "")
            self.linear = Pointwise(shape[0], channels, key=key)

    def __call__(self, x: Float[Array, "c *space"], condition: Condition) -> Float[Array, "c *space"]:
        if (self.linear is None) != (condition.spatial is None):
            raise InterfaceError("the network is given a spatial condition exactly if it is built for one")
        if self.linear is None or condition.spatial is None:
            return x
        return x + self.linear(fit(condition.spatial.astype(x.dtype), self.grid))
