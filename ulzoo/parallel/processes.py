"""Several processes as one: joined through `jax.distributed`, compared with each other, and ended together.

Nobody waits without end: for a process that does not appear, `Peers.patience`; for one that goes silent,
`HEARTBEAT`; at the end, for the others to end too, `SHUTDOWN`. A process that fails leaves at once
(`leave`), without JAX's own farewell, which would wait for the others; so they learn of it at once.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ulzoo.errors import RunError
from ulzoo.peers import Peers

HEARTBEAT = 30
"""Seconds after which a process that sends no sign of life counts as dead, and the others end."""
SHUTDOWN = 30
"""Seconds that a process waits at its end for the others."""

_PREFIX = "ulzoo"


def join(peers: Peers) -> None:
    """Make this process one of several. Before anything is computed, once.

    Raises:
        RunError: the others do not appear within the time, or cannot; with what is likely wrong.
    """
    # JAX's own notice of preemption takes SIGTERM away from ours.
    jax.config.update("jax_enable_preemption_service", False)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if peers.coordinator is not None:
        _refuse_loopback(peers.coordinator, peers.index, os.environ)
    try:
        jax.distributed.initialize(
            peers.coordinator,
            peers.count,
            peers.index,
            initialization_timeout=peers.patience,
            heartbeat_timeout_seconds=HEARTBEAT,
            shutdown_timeout_seconds=SHUTDOWN,
        )
        # All of them have connected once each has said so.
        _client().wait_at_barrier(f"{_PREFIX}/joined", peers.patience * 1000)
    except Exception as error:
        raise RunError(_not_joined(peers, error)) from error


def several() -> bool:
    """Whether this process is one of several, or was to be."""
    return _state().client is not None


def index() -> int:
    """Number of this process, from 0."""
    return int(_state().process_id)


def agree(facts: Mapping[str, str], patience: int) -> None:
    """Compare what must be equal in all processes.

    Raises:
        RunError: it is not; names the facts, the values and the processes.
    """
    gathered = exchange("facts", json.dumps(dict(facts)), patience)
    tables = [json.loads(text) for text in gathered]
    lines = []
    for name in dict.fromkeys(name for table in tables for name in table):
        values: dict[str, list[int]] = {}
        for number, table in enumerate(tables):
            values.setdefault(str(table.get(name, "nothing")) or "nothing", []).append(number)
        if len(values) > 1:
            said = "; ".join(f"{value} in process {_listed(indices)}" for value, indices in values.items())
            lines.append(f"    {name}: {said}")
    if lines:
        raise RunError("the processes of this run are not equal:\n" + "\n".join(lines))


def exchange(topic: str, text: str, patience: int) -> list[str]:
    """What each process says under a topic, in the order of processes; each topic once.

    Raises:
        RunError: a process says nothing within `patience` seconds.
    """
    client = _client()
    client.key_value_set(f"{_PREFIX}/{topic}/{index()}", text)
    found = []
    for other in range(_state().num_processes):
        try:
            found.append(client.blocking_key_value_get(f"{_PREFIX}/{topic}/{other}", patience * 1000))
        except Exception as error:
            raise RunError(
                f"process {other} did not answer within {patience} s ({topic}); see its own messages"
            ) from error
    return found


def leave(status: int) -> None:
    """End a process that failed, at once and without waiting for the others."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class AnyAsked:
    """A request to stop that is made once any process has one: in all of them after the same step.

    Asked once per step, by all. The answer is a step late, so that no step waits for it.
    """

    def __init__(self, request: Any) -> None:
        self._request = request
        self._mesh = Mesh(np.array(jax.devices()), ("all",))
        self._any = jax.jit(jnp.max, out_shardings=NamedSharding(self._mesh, P()))
        self._before: jax.Array | None = None

    @property
    def made(self) -> bool:
        here = np.full(jax.local_device_count(), self._request.made, np.int32)
        sharding = NamedSharding(self._mesh, P("all"))
        asked, self._before = (
            self._before,
            self._any(jax.make_array_from_process_local_data(sharding, here)),
        )
        return asked is not None and bool(asked)

    def interruption(self) -> KeyboardInterrupt:
        """What to raise once all is saved."""
        interruption: KeyboardInterrupt = self._request.interruption()
        return interruption


def _refuse_loopback(coordinator: str, index: int | None, environment: Mapping[str, str]) -> None:
    """An address that means "this machine" finds nobody from another one.

    On process 0's machine its own name may well be one.
    """
    nodes = environment.get("SLURM_STEP_NUM_NODES", "1")
    local, world = (environment.get(f"OMPI_COMM_WORLD_{name}SIZE", "1") for name in ("LOCAL_", ""))
    if (nodes.isdigit() and int(nodes) > 1) or local != world:
        address = _loopback(coordinator)
        literal = coordinator.startswith(("localhost:", "127.", "[::1]"))
        if address is not None and (index != 0 or literal):
            raise RunError(
                f"--coordinator: {coordinator} is {address}, this machine itself, but the processes are on"
                " several\n    give a name or an address of process 0's machine that the others can reach"
            )


def _loopback(coordinator: str) -> str | None:
    """The loopback address that a coordinator's host stands for here, None if it stands for another."""
    host = coordinator.rpartition(":")[0].strip("[]")
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return None
    return next((address for address in sorted(found) if ipaddress.ip_address(address).is_loopback), None)


def _not_joined(peers: Peers, error: Exception) -> str:
    first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    coordinator = peers.coordinator or _state().coordinator_address
    if coordinator is None:
        return (
            f"no cluster was found that says who the processes are: {first}\n"
            "    give --coordinator HOST:PORT, --processes N and --process I"
        )
    lines = [f"the processes did not find each other within {peers.patience} s at {coordinator}: {first}"]
    address = _loopback(coordinator)
    if address is not None:
        lines.append(f"{coordinator} is {address} here: processes on other machines cannot reach it")
    if peers.count is not None:
        lines.append(
            f"there must be {peers.count} processes, numbered 0 to {peers.count - 1}, each number once"
        )
    lines.append(
        "all need the same coordinator, a port that is free there, and a way to it through firewalls"
    )
    return "\n    ".join(lines)


def _listed(indices: list[int]) -> str:
    shown = ", ".join(map(str, indices[:8]))
    return shown if len(indices) <= 8 else f"{shown} and {len(indices) - 8} more"


def _state() -> Any:
    # Not public; but the public collectives need equal programs in all processes, and whether these can be
    # equal is what is asked here.
    from jax._src import distributed

    return distributed.global_state


def _client() -> Any:
    return _state().client
