"""`ulzoo export RUN OUT`: weights as safetensors, or functions as StableHLO."""

from __future__ import annotations

import argparse
from pathlib import Path

from ulzoo.cli.output import empty_folder
from ulzoo.cli.reporting import note
from ulzoo.errors import RunError
from ulzoo.run import Run


def run(arguments: argparse.Namespace) -> None:
    if arguments.format == "safetensors" and arguments.separate_weights:
        raise RunError("--separate-weights: is for --format stablehlo")
    with Run.open(arguments.directory) as run:
        from ulzoo.experiment import Experiment
        from ulzoo.export.functions import export_functions
        from ulzoo.export.runs import weights_of
        from ulzoo.export.weights import require_extra, save_weights
        from ulzoo.stages import spec_of

        require_extra("safetensors" if arguments.format == "safetensors" else "flatbuffers")
        weights = weights_of(run, Experiment.of(spec_of(run, note=note)))
        trained = ", ".join(f"{stage} at step {step}" for stage, step in weights.steps.items())
        if arguments.format == "safetensors":
            save_weights(arguments.out, weights)
            print(f"{arguments.out}: averaged weights of {trained}")
            return
        folder = empty_folder(arguments.out, Path(arguments.out))
        manifest = export_functions(folder, weights, separate=arguments.separate_weights)
        if arguments.separate_weights:
            save_weights(folder / "weights.safetensors", weights)
        for name, function in manifest["functions"].items():
            batch = "any batch" if function["batch"] == "any" else "one example at a time"
            print(f"{folder / function['file']}: {name}, {batch}, for {', '.join(function['platforms'])}")
