"""Commands that several processes give together: all compute, the first one writes and speaks."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ulzoo.peers import Peers, peers_of
from ulzoo.run import Run

if TYPE_CHECKING:
    from ulzoo.spec import Spec


def add_processes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("several processes, each of which gives the same command")
    group.add_argument(
        "--distributed", action="store_true", help="as Slurm, Open MPI, Kubernetes or Cloud TPU say"
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="where process 0 is, on a free port")
    group.add_argument("--processes", type=int, metavar="N", help="how many there are")
    group.add_argument("--process", type=int, metavar="I", help="number of this one, from 0")


class Together:
    """This process among the others, or by itself.

    Attributes:
        leads: whether it is the first, which writes and speaks.

    Raises:
        RunError: what is said of the others cannot be.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._peers: Peers | None = peers_of(
            os.environ,
            distributed=arguments.distributed,
            coordinator=arguments.coordinator,
            count=arguments.processes,
            index=arguments.process,
        )
        if self._peers is not None:
            from ulzoo.parallel import processes

            self._peers = processes.detected(self._peers)
        self.leads = self._peers is None or self._peers.index == 0
        if not self.leads:
            # The first process says it all; what goes wrong here is told on standard error.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115

    def join(self, spec: Spec, command: str) -> None:
        """Meet the others; from here on all of them do each step together.

        Raises:
            RunError: they do not appear within the time, or do something else, or with other versions.
        """
        if self._peers is not None:
            from ulzoo.parallel import processes

            processes.join(self._peers, {"command": command, **_facts(spec)})

    def part(self) -> None:
        """Wait for the first, which has more to write: who ends long before it is missed."""
        if self._peers is not None:
            from ulzoo.parallel import processes

            processes.wait_for_all("done")

    def open(self, directory: str) -> Run:
        """A run that is there, to be continued."""
        return Run.open(directory, write=self.leads, follow=not self.leads)

    def create(self, make: Callable[[], Run]) -> Run:
        """The run that the first process makes and the others follow.

        Raises:
            RunError: as `make`; or the others do not see its directory, on a file system of their own.
        """
        if self._peers is None:
            return make()
        from ulzoo.parallel import processes

        run = make() if self.leads else None
        directory = processes.broadcast("" if run is None else str(run.directory.absolute()))
        return Run.open(Path(directory), follow=True) if run is None else run


def _facts(spec: Spec) -> dict[str, str]:
    import hashlib
    import platform
    from importlib.metadata import version

    from ulzoo.provenance import origins
    from ulzoo.registry import Registry
    from ulzoo.spec import dump_yaml

    text = dump_yaml(spec)
    return {
        "spec": hashlib.sha256(text.encode()).hexdigest()[:12],
        "python": platform.python_version(),
        **{name: version(name) for name in ("ulzoo", "jax", "jaxlib", "equinox", "optax")},
        **origins(spec, Registry.discover()),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }
