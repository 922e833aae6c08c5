"""Compiling a spec's programs for a TPU topology that is not here; a process of its own, which has libtpu.

    python -m ulzoo.planning.ahead < request.json

reads `{"spec": path, "set": […], "topology": "v5e:16x16", "stages": [1, 2]}` and prints one JSON object on
the last line of its output. `ulzoo.planning.topology` is the other end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict
from typing import Any

from ulzoo.planning.collectives import collectives


def prepare(environment: MutableMapping[str, str]) -> None:
    """Before JAX is imported: no TPU is here, and none is to be looked for."""
    environment["JAX_PLATFORMS"] = "cpu"
    environment["TPU_SKIP_MDS_QUERY"] = "1"
    environment.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    # Its time is measured, and its programs are of no use to any other process.
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"


def compile_for(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a request; a mistake of the user's is `{"error": text}`."""
    import jax
    import jaxlib
    from jax.experimental import topologies

    from ulzoo.assemble import assemble
    from ulzoo.errors import UlzooError
    from ulzoo.planning import layouts
    from ulzoo.spec import load_spec

    try:
        devices: Any = topologies.get_topology_desc(platform="tpu", topology_name=request["topology"]).devices
    except Exception as error:
        # libtpu's own words, of many types: an unknown name, no library, another process that has it.
        return {"error": f"no topology {request['topology']!r}: {str(error).strip() or type(error).__name__}"}
    answer: dict[str, Any] = {
        "devices": len(devices),
        "device_kind": devices[0].device_kind,
        "versions": {"jax": jax.__version__, "jaxlib": jaxlib.__version__, "libtpu": _libtpu()},
        "stages": [],
    }
    try:
        spec = load_spec(request["spec"], request["set"])
        assembly = assemble(spec)
        mesh = layouts.over(devices, layouts.mesh_sizes(spec, len(devices)))
        answer["mesh"] = dict(mesh.shape)
        for stage in request["stages"]:
            answer["stages"].append(_compiled(layouts.program(spec, assembly, mesh, stage), stage))
    except UlzooError as error:
        return {"error": str(error)}
    return answer


def _compiled(program: Any, stage: int) -> dict[str, Any]:
    from ulzoo.planning.memory import compiled

    start = time.perf_counter()
    lowered = program.lower()
    middle = time.perf_counter()
    found: dict[str, Any] = {"stage": stage, "lower_seconds": middle - start}
    try:
        executable = lowered.compile()
    except Exception as error:
        text = str(error)
        if "RESOURCE_EXHAUSTED" not in text:
            raise
        # The compiler itself refuses what no arrangement makes fit.
        return {**found, "compile_seconds": time.perf_counter() - middle, "exhausted": _reason(text)}
    found["compile_seconds"] = time.perf_counter() - middle
    found["memory"] = compiled(program, executable, "tpu").as_dict()
    found["collectives"] = [asdict(kind) for kind in collectives(executable.as_text())]
    return found


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if "Used" in line or "RESOURCE_EXHAUSTED" in line]
    return " ".join(lines)[:400]


def _libtpu() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("libtpu")
    except PackageNotFoundError:
        return "unknown"


if __name__ == "__main__":
    prepare(os.environ)
    print(json.dumps(compile_for(json.load(sys.stdin))), flush=True)
