"""Several processes as one: joined through `jax.distributed`, and ended together.

Nobody waits without end: for a process that does not appear, `Peers.patience`; for one that goes silent,
`HEARTBEAT`; at the end, for the others to end too, `SHUTDOWN`. A process that fails leaves at once
(`leave`), without JAX's own farewell, which would wait for the others; so they learn of it at once.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ulzoo.errors import RunError
from ulzoo.parallel.rendezvous import Meeting, loopback, meet
from ulzoo.peers import Peers

HEARTBEAT = 30
"""Seconds after which a process that sends no sign of life counts as dead, and the others end."""
SHUTDOWN = 30
"""Seconds that a process waits at its end for the others."""

_LONGEST_TEXT = 4096


def detected(peers: Peers) -> Peers:
    """What is not said of the processes, as JAX finds it: Slurm, Open MPI, Kubernetes, Cloud TPU.

    Raises:
        RunError: none of them is here.
    """
    if None not in (peers.coordinator, peers.count, peers.index):
        return peers
    # Not public; `jax.distributed.initialize` would ask it too, and tell nobody the answer.
    from jax._src.clusters import ClusterEnv

    try:
        address, count, index, devices = ClusterEnv.auto_detect_unset_distributed_params(
            peers.coordinator, peers.count, peers.index, None, None, peers.patience
        )
    except Exception as error:
        raise RunError(f"--distributed: the cluster's variables cannot be read: {error}") from error
    if None in (address, count, index):
        raise RunError(
            "--distributed: neither Slurm, Open MPI, Kubernetes nor Cloud TPU is here to say who they are\n"
            "    give --coordinator HOST:PORT, --processes N and --process I"
        )
    found = None if devices is None else tuple(devices)
    return dataclasses.replace(peers, coordinator=address, count=count, index=index, devices=found)


def join(peers: Peers, facts: Mapping[str, str]) -> None:
    """Make this process one of several. Before anything is computed, once.

    Args:
        peers: complete, see `detected`.
        facts: what must be equal in all of them.

    Raises:
        RunError: the others do not appear within the time, or are unlike this one.
    """
    assert peers.coordinator is not None
    assert peers.count is not None
    assert peers.index is not None
    meeting = Meeting(peers.coordinator, peers.count, peers.index, peers.patience)
    _refuse_loopback(meeting, os.environ)
    meet(meeting, facts)
    # JAX's own notice of preemption takes SIGTERM away from ours.
    jax.config.update("jax_enable_preemption_service", False)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            peers.coordinator,
            peers.count,
            peers.index,
            local_device_ids=peers.devices,
            cluster_detection_method="deactivate",
            initialization_timeout=peers.patience,
            heartbeat_timeout_seconds=HEARTBEAT,
            shutdown_timeout_seconds=SHUTDOWN,
        )
    except (RuntimeError, ValueError) as error:
        raise RunError(f"the processes could not be joined at {peers.coordinator}: {error}") from error


def several() -> bool:
    """Whether this process is one of several."""
    return jax.distributed.is_initialized()


def broadcast(text: str) -> str:
    """Process 0's text, in all processes. All must ask."""
    from jax.experimental import multihost_utils

    data = np.zeros(_LONGEST_TEXT, np.uint8)
    encoded = text.encode()[:_LONGEST_TEXT]
    data[: len(encoded)] = np.frombuffer(encoded, np.uint8)
    received = np.asarray(multihost_utils.broadcast_one_to_all(data)).astype(np.uint8)
    return received.tobytes().rstrip(b"\0").decode()


def wait_for_all(topic: str) -> None:
    """Returns once all processes are here."""
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices(f"ulzoo {topic}")


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
        mesh = Mesh(np.array(jax.devices()), ("all",))
        self._each = NamedSharding(mesh, P("all"))
        self._any = jax.jit(jnp.max, out_shardings=NamedSharding(mesh, P()))
        self._before: jax.Array | None = None

    @property
    def made(self) -> bool:
        here = np.full(jax.local_device_count(), self._request.made, np.int32)
        now = self._any(jax.make_array_from_process_local_data(self._each, here))
        asked, self._before = self._before, now
        return asked is not None and bool(asked)

    def interruption(self) -> KeyboardInterrupt:
        """What to raise once all is saved."""
        interruption: KeyboardInterrupt = self._request.interruption()
        return interruption


def _refuse_loopback(meeting: Meeting, environment: Mapping[str, str]) -> None:
    """An address that means "this machine" finds nobody from another one, and a launcher may say of others.

    On process 0's machine its own name may well be one.
    """
    nodes = environment.get("SLURM_STEP_NUM_NODES", "1")
    local, world = (environment.get(f"OMPI_COMM_WORLD_{name}SIZE", "1") for name in ("LOCAL_", ""))
    if not (nodes.isdigit() and int(nodes) > 1) and local == world:
        return
    address = loopback(meeting.host)
    literal = meeting.host in ("localhost", "::1") or meeting.host.startswith("127.")
    if address is not None and (meeting.index != 0 or literal):
        raise RunError(
            f"--coordinator: {meeting.address} is {address}, this machine itself, but the processes are on"
            " several\n    give a name or an address of process 0's machine that the others can reach"
        )
