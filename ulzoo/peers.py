"""Several processes that train one run together: how they are told of each other, without JAX.

What is here is read from the command line and the environment; `ulzoo.parallel.processes` joins them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ulzoo.errors import RunError

COORDINATOR, COUNT, INDEX = "ULZOO_COORDINATOR", "ULZOO_PROCESSES", "ULZOO_PROCESS"
DETECT, PATIENCE = "ULZOO_DISTRIBUTED", "ULZOO_PEER_SECONDS"
DEFAULT_PATIENCE = 120
"""Seconds that a process waits for the others to appear, and for each answer of theirs before training."""

_LAUNCHERS = (
    ("Slurm", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ("Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
)


@dataclass(frozen=True)
class Peers:
    """How this process finds the others.

    Attributes:
        coordinator: host:port of process 0; None: as the cluster's own variables say.
        count: processes; None likewise.
        index: number of this one, from 0; None likewise.
        patience: seconds.
        devices: local ones that this process is to use; None: all.
    """

    coordinator: str | None
    count: int | None
    index: int | None
    patience: int
    devices: tuple[int, ...] | None = None


def peers_of(
    environment: Mapping[str, str],
    *,
    distributed: bool = False,
    coordinator: str | None = None,
    count: int | None = None,
    index: int | None = None,
) -> Peers | None:
    """What the command line says, and where it says nothing the environment; None for one process by itself.

    Raises:
        RunError: a value that cannot be, one without the others, or a launcher that started several
            processes which were not told that they are one run.
    """
    patience = _number(environment, PATIENCE, least=1) or DEFAULT_PATIENCE
    coordinator = coordinator or environment.get(COORDINATOR)
    count = _number(environment, COUNT, least=1) if count is None else count
    index = _number(environment, INDEX, least=0) if index is None else index
    said = environment.get(DETECT)
    if said not in (None, "", "0", "1"):
        raise RunError(f"{DETECT}: must be 0 or 1, got {said!r}")
    given = {"--coordinator": coordinator, "--processes": count, "--process": index}
    if any(value is not None for value in given.values()):
        missing = [name for name, value in given.items() if value is None]
        if missing and not (distributed or said == "1"):
            raise RunError(
                f"{' and '.join(missing)} missing: several processes need all of {', '.join(given)}\n"
                "    or --distributed, where Slurm, Open MPI, Kubernetes or Cloud TPU say them"
            )
        _check(coordinator, count, index)
        return Peers(coordinator, count, index, patience)
    if distributed or said == "1":
        return Peers(None, None, None, patience)
    if said != "0":
        _refuse_strangers(environment)
    return None


def _check(coordinator: str | None, count: int | None, index: int | None) -> None:
    if coordinator is not None and not re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]+):\d{1,5}", coordinator):
        raise RunError(f"--coordinator: must be host:port, got {coordinator!r}")
    if count is not None and index is not None and index >= count:
        raise RunError(f"--process: {count} processes have the numbers 0 to {count - 1}, got {index}")


def _refuse_strangers(environment: Mapping[str, str]) -> None:
    """Processes of one launch that do not know of each other would train the same run several times."""
    for launcher, size, _ in _LAUNCHERS:
        count = environment.get(size, "")
        if count.isdigit() and int(count) > 1:
            raise RunError(
                f"{launcher} started {count} processes, and this one was not told whether they are one run\n"
                f"    one run: --distributed, or {DETECT}=1\n"
                f"    each its own: {DETECT}=0"
            )


def _number(environment: Mapping[str, str], name: str, *, least: int) -> int | None:
    text = environment.get(name, "")
    if not text:
        return None
    if not text.isdigit() or int(text) < least:
        raise RunError(f"{name}: must be a whole number of at least {least}, got {text!r}")
    return int(text)
