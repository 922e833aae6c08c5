"""Processes of one run meet before JAX is started: all are there, and all are equal, or each is told why not.

JAX's own start aborts a process when another is missing, and may wait for ever when versions differ. So
process 0 listens at the coordinator's address first; each of the others tells it a table of facts and is told
the outcome. The port is then JAX's.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from ulzoo.errors import RunError

_LONGEST = 1 << 20
"""Bytes of a message; what is longer is no process of ours."""


@dataclass(frozen=True)
class Meeting:
    """Where and for how long.

    Attributes:
        address: host:port of process 0.
        count: processes.
        index: of this one, from 0.
        patience: seconds.
    """

    address: str
    count: int
    index: int
    patience: float

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


def meet(meeting: Meeting, facts: Mapping[str, str]) -> None:
    """Returns once all processes are there and their facts are equal.

    Raises:
        RunError: a process does not appear within the time, the address cannot be used or reached, or facts
            differ; says which.
    """
    said = {"ulzoo": 1, "index": meeting.index, "count": meeting.count, "facts": dict(facts)}
    error = _host(meeting, said) if meeting.index == 0 else _visit(meeting, said)
    if error:
        raise RunError(error)


def loopback(host: str) -> str | None:
    """The loopback address that a host's name stands for on this machine, None if it stands for another."""
    try:
        found = sorted({str(info[4][0]) for info in socket.getaddrinfo(host, None)})
    except OSError:
        return None
    return next((address for address in found if ipaddress.ip_address(address).is_loopback), None)


def differences(tables: Sequence[Mapping[str, str]]) -> str:
    """A line for each fact that is not the same in all processes; empty if all are."""
    lines = []
    for name in dict.fromkeys(name for table in tables for name in table):
        values: dict[str, list[int]] = {}
        for number, table in enumerate(tables):
            values.setdefault(str(table.get(name, "")) or "nothing", []).append(number)
        if len(values) > 1:
            said = "; ".join(f"{value} in process {_listed(numbers)}" for value, numbers in values.items())
            lines.append(f"\n    {name}: {said}")
    return "".join(lines)


def _host(meeting: Meeting, said: dict[str, Any]) -> str:
    """Process 0: listens until all the others have come, and tells them the outcome; returns it."""
    deadline = time.monotonic() + meeting.patience
    came: dict[int, tuple[socket.socket, dict[str, Any]]] = {}
    error = ""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(_server(meeting.port))
        except OSError as failure:
            return f"--coordinator: cannot listen at port {meeting.port}: {failure.strerror or failure}"
        while len(came) < meeting.count - 1 and not error:
            left = deadline - time.monotonic()
            if left <= 0:
                error = _absent(meeting, [i for i in range(1, meeting.count) if i not in came])
                break
            server.settimeout(left)
            with suppress(OSError):
                visitor, _ = server.accept()
                stack.enter_context(visitor)
                # A stranger who says nothing must not keep the others waiting.
                told = _read(visitor, min(left, 10.0))
                if told is not None:
                    error = _misplaced(meeting, told, came)
                    came.setdefault(told["index"], (visitor, told))
        if not error:
            tables = [said["facts"], *(came[i][1]["facts"] for i in range(1, meeting.count))]
            unlike = differences(tables)
            error = f"the processes of this run are not equal:{unlike}" if unlike else ""
        for visitor, _ in came.values():
            with suppress(OSError):
                visitor.sendall(json.dumps({"error": error}).encode() + b"\n")
    return error


def _visit(meeting: Meeting, said: dict[str, Any]) -> str:
    """Another process: tells process 0 of itself and returns what that answers."""
    deadline = time.monotonic() + meeting.patience
    reason = "no answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection((meeting.host, meeting.port), timeout=left) as server:
                server.sendall(json.dumps(said).encode() + b"\n")
                # Process 0 waits as long for the others, from when it began.
                told = _read(server, meeting.patience + 5.0)
                if told is not None and "error" in told:
                    return str(told["error"])
                reason = "no answer; process 0 has ended, or waits for others still"
        except OSError as failure:
            reason = failure.strerror or str(failure)
        time.sleep(0.2)
    return (
        f"process 0 was not reached at {meeting.address} within {meeting.patience:g} s: {reason}"
        f"{_hint(meeting)}"
    )


def _absent(meeting: Meeting, missing: list[int]) -> str:
    who = f"process {missing[0]}" if len(missing) == 1 else f"processes {_listed(missing)}"
    text = f"{who} of {meeting.count} did not appear at {meeting.address} within {meeting.patience:g} s"
    return f"{text}{_hint(meeting)}"


def _hint(meeting: Meeting) -> str:
    lines = ["each needs the same --coordinator and --processes, and a --process of its own"]
    address = loopback(meeting.host)
    if address is not None:
        lines.append(f"{meeting.host} is {address} here, this machine itself: others cannot reach it so")
    return "".join(f"\n    {line}" for line in lines)


def _misplaced(meeting: Meeting, told: Mapping[str, Any], came: Mapping[int, Any]) -> str:
    if told["count"] != meeting.count:
        return f"process {told['index']} speaks of {told['count']} processes, process 0 of {meeting.count}"
    if told["index"] in came or not 0 < told["index"] < meeting.count:
        return f"two processes have the number {told['index']}; each needs a --process of its own"
    return ""


def _server(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _read(connection: socket.socket, seconds: float) -> dict[str, Any] | None:
    """A message: one line of JSON; None from a stranger, or where there is none within the time."""
    end, data = time.monotonic() + seconds, b""
    while not data.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0 or len(data) > _LONGEST:
            return None
        connection.settimeout(left)
        try:
            part = connection.recv(65536)
        except OSError:
            return None
        if not part:
            return None
        data += part
    try:
        message = json.loads(data)
    except ValueError:
        return None
    return message if _is_message(message) else None


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict):
        return False
    if isinstance(message.get("error"), str):
        return True
    numbers = all(type(message.get(name)) is int for name in ("ulzoo", "index", "count"))
    return numbers and isinstance(message.get("facts"), dict)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return shown if len(numbers) <= 8 else f"{shown} and {len(numbers) - 8} more"
