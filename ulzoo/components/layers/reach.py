"""Which positions of a grid attend to which: all, a frame and then a line in time, or windows.

Everything here is windows: blocks of positions that attend within themselves. Full attention is one window
over the whole grid; attention that is factorised into space and time takes windows of one frame and windows
of one place in turn (as Ho et al. 2204.03458, Video Diffusion Models, and others do, a block each); windowed
attention takes windows of a given size, and moves them by half their size in every second block (Liu et al.
2103.14030), so that what one block keeps apart the next brings together. Parameters are the same in all.

Tokens are gathered window by window before they are compared, so the cost is that of the windows. A mask is
used only where windows do not tell all: at edges that the moved or ragged windows have, and in time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ulzoo.components.layers.space import per_axis
from ulzoo.errors import InterfaceError

AttentionKind = Literal["full", "factorised", "windowed"]

Attend = Callable[..., Array]
"""(q, k, v, mask or None) → what each query gathers; the first axis is the positions."""


def check_window(attention: AttentionKind, window: int | tuple[int, ...] | None) -> None:
    """Raises ValueError unless there is a window exactly for windowed attention."""
    if (window is not None) != (attention == "windowed"):
        raise ValueError(f"a window belongs to attention: windowed, got window {window} with {attention}")


@dataclass(frozen=True)
class Reach:
    """What a stack's blocks attend to; block `i` takes turn `i % turns`.

    Attributes:
        windows: edges of the windows along each axis, for each turn.
        moved: whether the windows of a turn are moved by half their size.
        causal: the first axis is time, and no position attends to a later one.
    """

    windows: tuple[tuple[int, ...], ...]
    moved: tuple[bool, ...]
    causal: bool = False

    @classmethod
    def of(
        cls,
        attention: AttentionKind,
        window: int | tuple[int, ...] | None,
        grid: Sequence[int],
        *,
        causal: bool = False,
    ) -> Reach:
        """For a grid of tokens.

        Raises:
            InterfaceError: there is nothing to factorise, or the window is larger than the grid.
        """
        grid = tuple(grid)
        match attention:
            case "full":
                return cls((grid,), (False,), causal)
            case "factorised":
                if len(grid) < 2:
                    raise InterfaceError(f"one axis, {grid}, has nothing to factorise", "attention")
                return cls(((1, *grid[1:]), (grid[0], *(1,) * (len(grid) - 1))), (False, False), causal)
        edges = per_axis(1 if window is None else window, len(grid), "window")
        if any(edge > extent for edge, extent in zip(edges, grid, strict=True)):
            raise InterfaceError(f"windows of {edges} are larger than the grid of tokens, {grid}", "window")
        # One turn is enough where a window is as wide as the grid, or a single position, along every axis.
        moves = any(1 < edge < extent for edge, extent in zip(edges, grid, strict=True))
        return cls((edges, edges), (False, True), causal) if moves else cls((edges,), (False,), causal)

    @property
    def turns(self) -> int:
        return len(self.windows)

    def __call__(
        self, attend: Attend, q: Array, k: Array, v: Array, grid: Sequence[int], turn: int
    ) -> Float[Array, "n ..."]:
        """`attend` within each window.

        Args:
            q, k, v: (n, ...), the positions of the grid in row order.
            grid: extents of the tokens; the first may be smaller than what this was made for.
        """
        edges = tuple(map(min, self.windows[turn], grid))
        if edges == tuple(grid) and not self.causal:
            return attend(q, k, v, None)
        windows = Windows(tuple(grid), edges, moved=self.moved[turn])
        mask = windows.mask(causal=self.causal)
        parts = [windows.part(x) for x in (q, k, v)]
        if mask is None or len(mask) == 1:
            alike = None if mask is None else mask[0]
            return windows.join(jax.vmap(lambda q, k, v: attend(q, k, v, alike))(*parts))
        return windows.join(jax.vmap(attend)(*parts, mask))


@dataclass(frozen=True)
class Windows:
    """A grid cut into windows of `edges`; extents that are no multiples are filled up at their ends."""

    grid: tuple[int, ...]
    edges: tuple[int, ...]
    moved: bool = False

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(-(-extent // edge) for extent, edge in zip(self.grid, self.edges, strict=True))

    @property
    def shift(self) -> tuple[int, ...]:
        """How far windows lie from their places, along each axis; none where one window is enough."""
        pairs = zip(self.edges, self.counts, strict=True)
        return tuple(edge // 2 if self.moved and count > 1 else 0 for edge, count in pairs)

    @property
    def _filled(self) -> tuple[int, ...]:
        return tuple(count * edge for count, edge in zip(self.counts, self.edges, strict=True))

    def part(self, tokens: Float[Array, "n ..."]) -> Float[Array, "windows m ..."]:
        """Tokens by window, the grid's and then each window's positions in row order."""
        axes, rest = len(self.grid), tokens.shape[1:]
        x = tokens.reshape(*self.grid, *rest)
        if self._filled != self.grid:
            ends = [(0, full - extent) for full, extent in zip(self._filled, self.grid, strict=True)]
            x = jnp.pad(x, (*ends, *((0, 0),) * len(rest)))
        x = self._rolled(x, -1)
        x = x.reshape(*(n for pair in zip(self.counts, self.edges, strict=True) for n in pair), *rest)
        order = (*range(0, 2 * axes, 2), *range(1, 2 * axes, 2), *range(2 * axes, x.ndim))
        return x.transpose(order).reshape(math.prod(self.counts), math.prod(self.edges), *rest)

    def join(self, windows: Float[Array, "windows m ..."]) -> Float[Array, "n ..."]:
        """Inverse of `part`."""
        axes, rest = len(self.grid), windows.shape[2:]
        x = windows.reshape(*self.counts, *self.edges, *rest)
        order = [axis for i in range(axes) for axis in (i, axes + i)]
        x = x.transpose(*order, *range(2 * axes, x.ndim)).reshape(*self._filled, *rest)
        x = self._rolled(x, 1)[tuple(slice(extent) for extent in self.grid)]
        return x.reshape(math.prod(self.grid), *rest)

    def mask(self, *, causal: bool) -> Array | None:
        """Which position attends to which, bool (windows or 1, m, m); None: all of a window to all of it."""
        ids, times = self._regions()
        apart = bool((ids != ids[:, :1]).any())
        ordered = causal and self.edges[0] > 1
        if not apart and not ordered:
            return None
        if not any(self.shift) and self._filled == self.grid:
            # Equal windows: in time, only the order within one matters.
            ids, times = ids[:1], times[:1]
        # Compared in the program: the mask itself would be a large constant of it.
        region, time = jnp.asarray(ids), jnp.asarray(times)
        allowed = region[:, :, None] == region[:, None, :]
        return allowed & (time[:, :, None] >= time[:, None, :]) if ordered else allowed

    def _regions(self) -> tuple[np.ndarray, np.ndarray]:
        """By window and position, int32: a number of the region that attends within itself, and the time.

        Rolling brings both ends of an axis into the last window; they are regions of their own. So is what
        extents were filled up with, and nobody attends to it but itself.
        """
        number = np.zeros(self._filled, np.int32)
        for axis, (extent, edge, shift) in enumerate(zip(self.grid, self.edges, self.shift, strict=True)):
            place = np.arange(self._filled[axis])
            region = np.where(place < extent, (place - shift) // edge + 1, self.counts[axis] + 1)
            shape = [-1 if i == axis else 1 for i in range(len(self.grid))]
            number = number * (self.counts[axis] + 2) + region.reshape(shape).astype(np.int32)
        time = np.broadcast_to(
            np.arange(self._filled[0], dtype=np.int32).reshape(-1, *(1,) * (len(self.grid) - 1)), self._filled
        )
        return self._parted(number), self._parted(time)

    def _parted(self, values: np.ndarray) -> np.ndarray:
        rolled = np.roll(values, [-shift for shift in self.shift], range(values.ndim))
        split = rolled.reshape(*(n for pair in zip(self.counts, self.edges, strict=True) for n in pair))
        axes = len(self.grid)
        ordered = split.transpose(*range(0, 2 * axes, 2), *range(1, 2 * axes, 2))
        return ordered.reshape(math.prod(self.counts), math.prod(self.edges))

    def _rolled(self, x: Array, way: int) -> Array:
        if not any(self.shift):
            return x
        return jnp.roll(x, [way * shift for shift in self.shift], tuple(range(len(self.grid))))
