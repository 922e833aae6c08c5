"""`ulzoo verify-resume SPEC`."""

from __future__ import annotations

import argparse

from ulzoo.cli.loading import load_checked
from ulzoo.cli.run_command import say
from ulzoo.errors import RunError


def run(arguments: argparse.Namespace) -> int:
    spec = load_checked(arguments.spec, arguments.overrides)
    if arguments.stage == 2 and spec.stage2 is None:
        raise RunError(f"{arguments.spec}: the spec has no stage 2")
    stages = (1, 2) if spec.stage2 is not None else (1,)
    from ulzoo.resume_check import verify_resume

    exact = True
    for stage in stages if arguments.stage is None else (arguments.stage,):
        certificate = verify_resume(spec, stage, arguments.steps)
        say("\n".join(certificate.lines()))
        exact = exact and certificate.exact
    return 0 if exact else 1
