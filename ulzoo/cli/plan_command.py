"""`ulzoo plan SPEC…`: what a spec costs, before a machine is rented."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ulzoo.cli.loading import load_checked
from ulzoo.cli.reporting import note, report
from ulzoo.errors import RunError, UlzooError
from ulzoo.planning.accelerators import OF_TOPOLOGY, Accelerator, accelerator_named
from ulzoo.planning.topology import compile_ahead, parse_topology

if TYPE_CHECKING:
    from ulzoo.spec import Spec


def run(arguments: argparse.Namespace) -> int:
    devices, accelerator = _hardware(arguments)
    if arguments.compile:
        _offer_devices(devices)
    found, failed = [], False
    for path in arguments.specs:
        try:
            found.append(_plan(arguments, path, devices, accelerator))
        except UlzooError as error:
            # The other specs are planned all the same.
            report(error)
            failed = True
    if arguments.json:
        print(json.dumps(found, indent=2), flush=True)
    return 2 if failed else 0


def _plan(
    arguments: argparse.Namespace, path: str, devices: int, accelerator: Accelerator | None
) -> dict[str, Any]:
    spec = load_checked(path, arguments.overrides)
    from ulzoo.planning.plan import plan
    from ulzoo.planning.text import lines_of, topology_lines

    made = plan(
        spec,
        devices,
        accelerator,
        utilisation=arguments.utilisation,
        price=arguments.price,
        compile=arguments.compile,
    )
    if not arguments.json:
        print("\n".join(lines_of(path, made, arguments.examples)), flush=True)
    answer = {"path": path, **made.as_dict()}
    if arguments.topology is not None:
        answer["topology"] = _ahead(arguments, spec, path)
        if not arguments.json:
            print("\n".join(topology_lines(arguments.topology, answer["topology"], accelerator)), flush=True)
    return answer


def _ahead(arguments: argparse.Namespace, spec: Spec, path: str) -> dict[str, Any]:
    stages = (1, 2) if spec.stage2 is not None else (1,)
    if arguments.stage is not None:
        if arguments.stage not in stages:
            raise RunError(f"{path}: the spec has no stage {arguments.stage}")
        stages = (arguments.stage,)
    return compile_ahead(arguments.tpu_env, path, arguments.overrides, arguments.topology, stages, note)


def _hardware(arguments: argparse.Namespace) -> tuple[int, Accelerator | None]:
    """How many devices of what; a topology says both."""
    devices, name = arguments.devices, arguments.accelerator
    if arguments.topology is None:
        for flag, value in (("--tpu-env", arguments.tpu_env), ("--stage", arguments.stage)):
            if value is not None:
                raise RunError(f"{flag}: is for --topology, which is not given")
    else:
        kind, chips = parse_topology(arguments.topology)
        if devices is not None and devices != chips:
            raise RunError(f"--devices: {arguments.topology} has {chips} chips, got {devices}")
        devices = chips
        name = OF_TOPOLOGY.get(kind) if name is None else name
    if arguments.price is not None and name is None:
        raise RunError("--price: is of an accelerator; say which with --accelerator")
    if not 0 < arguments.utilisation <= 1:
        raise RunError(f"--utilisation: must be above 0 and at most 1, got {arguments.utilisation:g}")
    return devices or 1, None if name is None else accelerator_named(name)


def _offer_devices(count: int) -> None:
    """As many CPU devices as are asked for, should a CPU be what there is to compile for."""
    import jax

    jax.config.update("jax_num_cpu_devices", count)
