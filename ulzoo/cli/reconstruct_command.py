"""`ulzoo reconstruct RUN FILES…`: original and reconstruction side by side, bits and PSNR per file."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

_TIMES = 64
"""Noise levels per image: a single image's rate needs more of them than an average over many."""


def run(arguments: argparse.Namespace) -> None:
    import jax
    import numpy as np

    from ulzoo.images import read_image, side_by_side, write_png
    from ulzoo.interfaces import SamplerIO
    from ulzoo.metrics.psnr import mean_squared_errors, psnr
    from ulzoo.programs.measure import keys_for, rates, reconstruct
    from ulzoo.run import Run
    from ulzoo.stages import Experiment, enlargement, evaluation_of, spec_of

    with Run.open(arguments.directory) as run:
        spec = spec_of(run)
        experiment = Experiment.of(spec)
        channels, *space = experiment.assembly.data.shape
        files = [Path(name) for name in arguments.files]
        # All are read before the model is: a bad file name should not cost a minute.
        originals = np.stack([read_image(file, channels=channels, size=(space[0], space[1])) for file in files])
        evaluation = evaluation_of(run, experiment, 1)
        sampler = spec.sample.decoder_sampler.build(SamplerIO(), key=None)
        folder = Path(arguments.out) if arguments.out else run.directory / "reconstructions"
        folder.mkdir(parents=True, exist_ok=True)
        word = "upper bound" if evaluation.is_bound else "proxy"
        print(f"{'file':40s} {'bits':>9s} {'bits/pixel':>11s} {'PSNR':>9s}   (rates: {word})")
        for i, file in enumerate(files):
            image = originals[i : i + 1]
            keys = keys_for(arguments.seed, np.array([i], np.int32))
            nats, _, _, _ = rates(evaluation.autoencoder, image, keys, _TIMES)
            bits = float(np.asarray(jax.device_get(nats)).mean()) / math.log(2.0)
            result = np.asarray(reconstruct(evaluation.autoencoder, image, keys, sampler))
            value = float(psnr(mean_squared_errors(image, result))[0])
            path = folder / f"{i:04d}-{file.stem}.png"
            write_png(path, side_by_side(image[0], result[0]), enlarge=enlargement(result))
            print(f"{file.name[:40]:40s} {bits:9.1f} {bits / evaluation.pixels:11.4f} {value:6.2f} dB   {path}")
