"""A network over many images: one compiled program of one batch size, on all devices of this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

PRECISION = "float32, matrix products in full float32"


class Runner:
    """Calls `function(module, *arrays)` in batches of one size; the last one is filled up and cut again.

    Each row of the result depends on its own row of the arrays alone, so neither the size of the batches nor
    the number of devices changes what comes out, beyond the rounding of float32.

    Args:
        prepare: from arrays (b, …), as metrics have them, to what the network takes. A program of its own:
            another way of resizing does not compile the network again.
        function: from the module and what was prepared to arrays by name, (b, …).
        module: an Equinox module; its arrays are put on the devices.
        size: images a batch; raised to a multiple of the devices.
    """

    def __init__(
        self,
        prepare: Callable[..., Any],
        function: Callable[[Any, Any], Mapping[str, Any]],
        module: Any,
        size: int,
    ) -> None:
        devices = jax.local_devices()
        mesh = Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))
        self.size = -(-size // len(devices)) * len(devices)
        self._rows = NamedSharding(mesh, P("data"))
        arrays, static = eqx.partition(module, lambda leaf: isinstance(leaf, np.ndarray | jax.Array))
        self._module = eqx.combine(jax.device_put(arrays, NamedSharding(mesh, P())), static)
        self._prepare, self._function = prepare, function

    def __call__(self, *arrays: np.ndarray) -> dict[str, np.ndarray]:
        """(n, …) each → by name (n, …)."""
        count = len(arrays[0])
        parts = []
        for start in range(0, count, self.size):
            rows = np.minimum(np.arange(start, start + self.size), count - 1)
            placed = [jax.device_put(array[rows], self._rows) for array in arrays]
            prepared = _apply(self._prepare, *placed)
            parts.append(jax.device_get(_apply(self._function, self._module, prepared)))
        joined = {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}
        return {name: value[:count] for name, value in joined.items()}


@eqx.filter_jit
def _apply(function: Callable[..., Any], *arrays: Any) -> Any:
    # Accelerators round the factors of float32 products to fewer bits unless asked.
    with jax.default_matmul_precision("highest"):
        return function(*arrays)
