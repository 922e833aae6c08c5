"""Devices, and where arrays live on them. One device is a mesh of one: there is no other path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ulzoo.errors import InterfaceError


def make_mesh(axes: Mapping[str, int] | None = None) -> Mesh:
    """A mesh over all devices; −1 for an axis takes what the others leave.

    Raises:
        InterfaceError: if the axes do not multiply to the number of devices.
    """
    axes = dict(axes or {"data": -1})
    count = jax.device_count()
    known = int(np.prod([size for size in axes.values() if size != -1]))
    sizes = {name: count // known if size == -1 else size for name, size in axes.items()}
    if int(np.prod(list(sizes.values()))) != count:
        raise InterfaceError(
            f"{axes} does not multiply to the {count} devices that are here", "parallel.mesh"
        )
    # Auto: jax.make_mesh's own default (Explicit) refuses sharding constraints.
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def check_batch(batch_size: int, mesh: Mesh | AbstractMesh, path: str) -> None:
    """Raises InterfaceError, with the nearest sizes that fit, unless the mesh divides the batch."""
    ways = mesh.shape["data"]
    if batch_size % ways:
        low = batch_size // ways * ways
        near = f"nearest are {low} and {low + ways}" if low else f"the least is {ways}"
        raise InterfaceError(f"{batch_size} is not a multiple of mesh.data = {ways}; {near}", path)


def over_batch(mesh: Mesh) -> NamedSharding:
    """The leading axis over the data axis."""
    return NamedSharding(mesh, P("data"))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, P())


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """A host batch (this process's share) onto the mesh. The one place where global arrays are made."""
    sharding = over_batch(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, value) for name, value in batch.items()}


def on_device(batches: Iterator[Mapping[str, np.ndarray]], mesh: Mesh) -> Iterator[dict[str, jax.Array]]:
    """The batches on the mesh, one ahead of use, so that the transfer overlaps with the step before."""
    ahead: Any = None
    for batch in batches:
        current, ahead = ahead, put_batch(batch, mesh)
        if current is not None:
            yield current
    if ahead is not None:
        yield ahead
