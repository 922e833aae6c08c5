"""`ulzoo check SPEC…`: everything that can be known before the first FLOP."""

from __future__ import annotations

import argparse

from ulzoo.cli.loading import load_checked
from ulzoo.cli.reporting import report
from ulzoo.errors import UlzooError


def run(arguments: argparse.Namespace) -> int:
    failed = False
    for path in arguments.specs:
        try:
            print(check(path, arguments.overrides), flush=True)
        except UlzooError as error:
            # The other files are checked all the same.
            report(error)
            failed = True
    return 2 if failed else 0


def check(path: str, overrides: list[str]) -> str:
    """What `ulzoo check` prints for a spec that is right.

    Raises:
        SpecError: with the problems that were not printed yet, each with file, line and column.
    """
    spec = load_checked(path, overrides)
    from ulzoo.experiment import check_fit
    from ulzoo.spec import spec_hash

    _, reports = check_fit(spec)
    lines = [f"{path}: ok, spec {spec_hash(spec)[:12]}"]
    for role in reports:
        component = getattr(spec, role.role)
        shapes = f"{_shape(role.input_shape)} → {_shape(role.output_shape)}"
        lines.append(
            f"  {role.role:11s} {component.type:28s} {shapes:28s}"
            f" {_count(role.parameters):>8s} parameters {_count(role.flops):>8s}FLOPs/image"
        )
    total = sum(role.parameters for role in reports)
    lines.append(f"  {'all':11s} {'':28s} {'':28s} {_count(total):>8s} parameters")
    return "\n".join(lines)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _count(number: int) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number} "
