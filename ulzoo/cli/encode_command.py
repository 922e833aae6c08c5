"""`ulzoo encode RUN DATA OUT`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ulzoo.cli.reporting import note
from ulzoo.errors import RunError
from ulzoo.progress import Progress
from ulzoo.run import Run


def run(arguments: argparse.Namespace) -> None:
    with Run.open(arguments.directory) as run:
        import jax

        from ulzoo.encoding import encode, records_at
        from ulzoo.experiment import Experiment
        from ulzoo.stages import spec_of
        from ulzoo.training import restore

        if jax.process_count() > 1:
            raise RunError("encode works in one process, on all of its devices; start one alone")
        experiment = Experiment.of(spec_of(run, note=note))
        autoencoder, _ = restore(run, experiment, 1)
        split = arguments.data if arguments.data in ("train", "heldout") else "all"
        spec, mesh = experiment.spec, experiment.mesh
        own = split != "all"
        source = experiment.data.open(arguments.data) if own else records_at(arguments.data, spec.data)
        began = time.monotonic()
        with Progress("encode", len(source), unit="records") as progress:
            manifest = encode(
                spec,
                autoencoder,
                source,
                Path(arguments.out),
                split=split,
                shards=arguments.shards,
                mesh=mesh,
                dtype=arguments.dtype,
                flip=arguments.flip,
                draws=arguments.draws,
                batch_size=arguments.batch_size,
                threads=arguments.threads,
                advance=progress.advance,
            )
    for name, reason in manifest["replaced"].items():
        note(f"damaged, another one in its place: {name} ({reason})")
    size, seconds = manifest["bytes"], time.monotonic() - began
    print(
        f"{arguments.out}: latents of {manifest['records']} records, {size / 1e6:.1f} MB,"
        f" {size / manifest['records']:.0f} bytes a record, in {seconds:.1f} s"
    )
    if split == "train":
        print(f"    stage2: {{latents: {arguments.out}, …}}")
