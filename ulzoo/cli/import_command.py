"""`ulzoo import FILE`: a run directory out of exported weights."""

from __future__ import annotations

import argparse

from ulzoo.run import Run


def run(arguments: argparse.Namespace) -> None:
    if arguments.out is not None:
        Run.refuse_taken(arguments.out)
    from ulzoo.export.runs import run_from
    from ulzoo.export.weights import load_weights

    weights = load_weights(arguments.file)
    directory = run_from(weights, arguments.out)
    trained = ", ".join(f"{stage} at step {step}" for stage, step in weights.steps.items())
    print(f"run directory: {directory}\naveraged weights of {trained}; to be used, not trained further")
