"""A spec's programs compiled by the real TPU compiler for a slice that is not here, in a process of its own.

libtpu must not lie in the environment that one works in: every start of JAX would look for a TPU for half a
minute. So it lies in a folder of its own, which only the process of `ulzoo.planning.ahead` sees.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from ulzoo.errors import RunError

_NAME = re.compile(r"(v[0-9]\w*|tpu\w*):(\d+(?:x\d+)*)")


def parse_topology(text: str) -> tuple[str, int]:
    """`v5e:16x16` → (kind, chips).

    Raises:
        RunError: not of that form.
    """
    match = _NAME.fullmatch(text)
    if match is None or not all(int(edge) for edge in match[2].split("x")):
        raise RunError(
            f"--topology: {text!r} is not of the form KIND:AxB or KIND:AxBxC, such as v5e:16x16 or v5p:4x4x8"
        )
    return match[1], math.prod(int(edge) for edge in match[2].split("x"))


def libtpu_requirement() -> str:
    """The libtpu that the installed JAX was made with."""
    for requirement in requires("jax") or ():
        name, _, marker = requirement.partition(";")
        if name.startswith("libtpu") and "tpu" in marker:
            return name.strip()
    return "libtpu"


def ready(folder: Path) -> bool:
    """Whether a folder holds libtpu, by itself or in a virtual environment."""
    return _python(folder) is not None or (folder / "libtpu").is_dir()


def make(folder: Path, say: Callable[[str], object]) -> None:
    """Put libtpu, and nothing else, into a folder: some 700 MB, from the package index.

    Raises:
        RunError: the folder has other things in it, or pip fails.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"--tpu-env {folder}: neither empty nor an environment with libtpu")
    say(f"installing {libtpu_requirement()} into {folder}, about 700 MB")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, libtpu_requirement()], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RunError(
            f"--tpu-env {folder}: pip could not install libtpu\n" + _last(done.stderr or done.stdout, 5)
        )


def compile_ahead(
    folder: str | Path | None,
    spec: str,
    overrides: Sequence[str],
    topology: str,
    stages: Sequence[int],
    say: Callable[[str], object],
) -> dict[str, Any]:
    """Compile for a topology, and what the compiler says: see `ulzoo.planning.ahead`.

    Args:
        folder: with libtpu; made if it is not there. A virtual environment that has ulzoo and libtpu will do.
        spec: path of the file.

    Raises:
        RunError: no folder is given, it cannot be made, or compiling fails for a reason other than memory.
    """
    parse_topology(topology)
    if folder is None:
        raise RunError(
            "--topology compiles with libtpu, which has to lie in a folder of its own: installed beside JAX"
            " it delays every start by half a minute\n    give --tpu-env DIR: where DIR is not there,"
            f" {libtpu_requirement()} is installed into it (about 700 MB)"
        )
    folder = Path(folder).expanduser().absolute()
    if not ready(folder):
        make(folder, say)
    request = {"spec": spec, "set": list(overrides), "topology": topology, "stages": list(stages)}
    python, environment = _python(folder), dict(os.environ)
    if python is None:
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(folder), *([known] if known else [])])
    command = [str(python or sys.executable), "-m", "ulzoo.planning.ahead"]
    done = subprocess.run(
        command, input=json.dumps(request), env=environment, capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if done.returncode == 0 and lines else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise RunError(
            f"--topology {topology}: compiling stopped with status {done.returncode}\n"
            + _last(done.stderr, 12)
        )
    if "error" in answer:
        raise RunError(f"--topology {topology}: {answer['error']}")
    return answer


def _python(folder: Path) -> Path | None:
    """The interpreter of a virtual environment."""
    path = folder / "bin" / "python"
    return path if path.exists() else None


def _last(text: str, count: int) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-count:])
