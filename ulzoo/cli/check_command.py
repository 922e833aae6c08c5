"""`ulzoo check SPEC…`: everything that can be known before the first FLOP."""

from __future__ import annotations

import argparse
import sys

from ulzoo.errors import UlzooError


def run(arguments: argparse.Namespace) -> int:
    failed = False
    for path in arguments.specs:
        try:
            print(check(path, arguments.overrides), flush=True)
        except UlzooError as error:
            # The other files are checked all the same.
            print(error, file=sys.stderr, flush=True)
            failed = True
    return 2 if failed else 0


def check(path: str, overrides: list[str]) -> str:
    """What `ulzoo check` prints for a spec that is right.

    Raises:
        SpecError: with every problem, each with file, line and column.
    """
    from ulzoo.spec import load_spec, spec_hash

    spec = load_spec(path, overrides)
    from ulzoo.assemble import assemble
    from ulzoo.inspection import inspect
    from ulzoo.stages import check_metrics

    assembly = assemble(spec)
    reports = inspect(assembly, spec)
    check_metrics(spec, assembly)
    lines = [f"{path}: ok, spec {spec_hash(spec)[:12]}"]
    types = {"encoder": spec.encoder, "prior": spec.prior, "decoder": spec.decoder, "base_model": spec.base_model}
    for report in reports:
        component = types[report.role]
        shapes = f"{_shape(report.input_shape)} → {_shape(report.output_shape)}"
        lines.append(
            f"  {report.role:11s} {component.type if component else '':28s} {shapes:28s}"
            f" {_count(report.parameters):>8s} parameters {_count(report.flops):>8s}FLOPs/image"
        )
    total = sum(report.parameters for report in reports)
    lines.append(f"  {'all':11s} {'':28s} {'':28s} {_count(total):>8s} parameters")
    return "\n".join(lines)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _count(number: int) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number} "
