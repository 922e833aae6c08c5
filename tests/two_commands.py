"""One command, given by two processes that are one run."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

DEADLINE = 900
"""Seconds; these processes compile for most of their time."""


@dataclass(frozen=True)
class Ended:
    returncode: int
    told: str
    """Both streams."""


def together(environment: dict[str, str], *arguments: str | Path) -> list[Ended]:
    """What became of `ulzoo ARGUMENTS`, given by two processes of one device each."""
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    meeting = ["--coordinator", f"localhost:{port}", "--processes", "2", "--process"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "ulzoo", *map(str, arguments), *meeting, str(index)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(2)
    ]
    told = [process.communicate(timeout=DEADLINE)[0] for process in started]
    return [Ended(process.returncode, text[-4000:]) for process, text in zip(started, told, strict=True)]
