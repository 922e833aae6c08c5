"""Devices, and how batches lie on them. One device is a mesh of one: there is no other path."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ulzoo.allocation import compute_where_kept
from ulzoo.errors import InterfaceError
from ulzoo.parallel.one_ahead import one_ahead

# Before anything is computed: JAX reads it once.
compute_where_kept()

BATCH_AXES = ("data", "fsdp")
"""Axes that the batch is divided over."""


def device_names() -> list[str]:
    """Platform and kind of every device, of all processes, such as "cpu:cpu"."""
    return [f"{device.platform}:{device.device_kind}" for device in jax.devices()]


def make_mesh(axes: Mapping[str, int] | None = None) -> Mesh:
    """A mesh over all devices, of all processes; −1 for an axis takes what the others leave.

    Raises:
        InterfaceError: if the axes do not multiply to the number of devices.
    """
    axes = dict(axes or {"data": -1})
    count = jax.device_count()
    known = math.prod(size for size in axes.values() if size != -1)
    sizes = {name: count // known if size == -1 else size for name, size in axes.items()}
    if math.prod(sizes.values()) != count:
        raise InterfaceError(_misfit(axes, known, count), "parallel.mesh")
    # Auto: jax.make_mesh's own default (Explicit) refuses sharding constraints.
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def abstract_mesh(axes: Mapping[str, int]) -> AbstractMesh:
    """The mesh that a spec states, without its devices; an axis of −1 may be any size and is 1 here."""
    return AbstractMesh(tuple(max(size, 1) for size in axes.values()), tuple(axes))


def batch_ways(mesh: Mesh | AbstractMesh) -> int:
    """How many parts a batch is divided into."""
    return math.prod(mesh.shape.get(axis, 1) for axis in BATCH_AXES)


def check_batch(batch_size: int, mesh: Mesh | AbstractMesh, path: str, accumulate: int = 1) -> None:
    """Raises InterfaceError, with the nearest sizes that fit, unless mesh and micro-batches divide it."""
    ways = batch_ways(mesh) * accumulate
    if batch_size % ways:
        low = batch_size // ways * ways
        near = f"nearest are {low} and {low + ways}" if low else f"the least is {ways}"
        # An axis of one is not worth a word, unless there is no other.
        named = [f"mesh.{axis}" for axis in BATCH_AXES if mesh.shape.get(axis, 1) > 1]
        factors = [*named, *(["accumulate"] if accumulate > 1 else [])] or ["mesh.data"]
        raise InterfaceError(
            f"{batch_size} is not a multiple of {' × '.join(factors)} = {ways}; {near}", path
        )


def over_batch(mesh: Mesh | AbstractMesh) -> NamedSharding:
    """The leading axis over the axes of the mesh that divide the batch."""
    present = tuple(axis for axis in BATCH_AXES if axis in mesh.shape)
    if not present:
        return replicated(mesh)
    return NamedSharding(mesh, P(present[0] if len(present) == 1 else present))


def replicated(mesh: Mesh | AbstractMesh) -> NamedSharding:
    return NamedSharding(mesh, P())


@dataclass(frozen=True)
class Share:
    """Which of so many equal parts of a batch, in order."""

    index: int
    count: int


def local_share(batch_size: int, mesh: Mesh) -> Share:
    """The rows of a global batch that this process's devices have; processes may have the same ones, where an
    axis that does not divide the batch goes through several."""
    places = over_batch(mesh).addressable_devices_indices_map((batch_size,)).values()
    spans = [place[0].indices(batch_size) for place in places if place is not None]
    first, rows = min(span[0] for span in spans), max(span[1] for span in spans)
    rows -= first
    return Share(first // rows, batch_size // rows)


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """A host batch (this process's share, see `local_share`) onto the mesh."""
    sharding = over_batch(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, value) for name, value in batch.items()}


def put_whole(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """A host batch that every process has whole, onto the mesh."""
    sharding = over_batch(mesh)

    def placed(value: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(value.shape, sharding, lambda place: value[place])

    return {name: placed(value) for name, value in batch.items()}


def fetch(tree: Any) -> Any:
    """Arrays on the mesh → NumPy, whole in every process. All processes must ask, in the same order."""
    if all(leaf.is_fully_addressable for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array)):
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def on_device(
    batches: Iterator[Mapping[str, np.ndarray]], mesh: Mesh
) -> Generator[dict[str, jax.Array], None, None]:
    """The batches on the mesh, one ahead of use and in a thread of their own, so that reading and transfer
    overlap with the step before, even where that runs in the calling thread. Close it before `batches`."""
    return one_ahead(put_batch(batch, mesh) for batch in batches)


def _misfit(axes: Mapping[str, int], known: int, count: int) -> str:
    text = f"{dict(axes)} does not multiply to the {count} devices that are here"
    if -1 not in axes.values():
        return f"{text}; give -1 to the axis that shall take what the others leave"
    divisors = nearest_divisors(count, known)
    given = " × ".join(name for name, size in axes.items() if size != -1)
    return f"{text}: {given} = {known} does not divide them; nearest are {divisors}"


def nearest_divisors(number: int, near: int) -> str:
    """The divisors of `number` around `near`, which is none, as words."""
    divisors = [n for n in range(1, number + 1) if number % n == 0]
    below = [n for n in divisors if n < near][-1:]
    above = [n for n in divisors if n > near][:1]
    return " and ".join(map(str, below + above))
