"""How fast a spec trains here: `measure` runs each stage in processes of its own, so that starting counts.

A stage is started twice with a compilation cache that is empty at first: the first process compiles, the
second finds everything compiled, and then times its steps. Weights are fresh and steps are few; speed depends
on neither.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ulzoo.environment import environment
from ulzoo.errors import RunError
from ulzoo.spec import Spec, dump_yaml, spec_hash


def measure(
    spec: Spec, stages: tuple[int, ...], steps: int, *, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Speeds of the stages, with the hardware and the versions that they are of.

    Args:
        steps: timed, after the first few; more give a surer spread.
        say: receives a line for each process that is started.

    Raises:
        RunError: a process failed; with its last words.
    """
    results, devices = {}, []
    with tempfile.TemporaryDirectory(prefix="ulzoo-bench-") as folder:
        path = Path(folder) / "spec.yaml"
        path.write_text(dump_yaml(spec), encoding="utf-8")
        for stage in stages:
            say(f"stage {stage}: starting and compiling")
            cold = _started(path, stage, 0)
            say(f"stage {stage}: starting again, then {steps} steps")
            warm = _started(path, stage, steps)
            devices = warm.pop("devices")
            results[f"stage{stage}"] = {
                **warm.pop("steps"),
                "compile_seconds": cold["compile_seconds"],
                "cached_compile_seconds": warm["compile_seconds"],
                "first_step_seconds": cold["first_step_seconds"],
                "cached_first_step_seconds": warm["first_step_seconds"],
                "import_seconds": warm["import_seconds"],
                "data_seconds": warm["data_seconds"],
            }
    return {
        "spec": spec.name,
        "spec_hash": spec_hash(spec),
        "precision": spec.model_dump(mode="json", include={"precision"})["precision"],
        **environment(devices=devices, command=sys.argv),
        "processor": processor(),
        "load_before": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "stages": results,
    }


def _started(path: Path, stage: int, steps: int) -> dict[str, Any]:
    """What a new process measures; its clock starts here, where the command would be given."""
    out = path.parent / "result.json"
    variables = {
        "JAX_COMPILATION_CACHE_DIR": str(path.parent / "cache"),
        # Whatever is compiled is kept: the second start shall compile nothing.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "JAX_ENABLE_COMPILATION_CACHE": "1",
    }
    command = [sys.executable, "-m", "ulzoo.bench.process", str(path), str(stage), str(steps), str(out)]
    process = subprocess.run(
        [*command, str(time.time())], env={**os.environ, **variables}, capture_output=True, text=True
    )
    if process.returncode:
        last = "\n".join(f"    {line}" for line in process.stderr.strip().splitlines()[-5:])
        raise RunError(f"the process that measures stage {stage} failed:\n{last}")
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return result


def processor() -> str:
    """The processor's name, as the system tells it; empty where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
