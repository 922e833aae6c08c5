"""How a spatial condition (the latent, in a decoder) enters a network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.components.layers.linear import Pointwise
from ulzoo.components.layers.space import fit, fitting
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import Condition, ConditionIO


class SpatialEntry(eqx.Module):
    """Adds the spatial condition, brought to this grid's resolution, through a linear map over channels."""

    linear: Pointwise | None
    down: tuple[int, ...] = eqx.field(static=True)
    up: tuple[int, ...] = eqx.field(static=True)
    causal: bool = eqx.field(static=True)

    def __init__(
        self,
        condition: ConditionIO,
        grid: Sequence[int],
        channels: int,
        *,
        causal: bool = False,
        key: PRNGKeyArray,
    ) -> None:
        self.causal = causal
        if condition.spatial is None:
            self.linear, self.down, self.up = None, (), ()
        else:
            inputs, *space = condition.spatial
            self.down, self.up = fitting(space, grid, "", causal=causal)
            self.linear = Pointwise(inputs * math.prod(self.down), channels, key=key)

    def __call__(self, x: Float[Array, "c *space"], condition: Condition) -> Float[Array, "c *space"]:
        if (self.linear is None) != (condition.spatial is None):
            raise InterfaceError("the network is given a spatial condition exactly if it is built for one")
        if self.linear is None or condition.spatial is None:
            return x
        spatial = condition.spatial.astype(x.dtype)
        return x + self.linear(fit(spatial, self.down, self.up, causal=self.causal))
