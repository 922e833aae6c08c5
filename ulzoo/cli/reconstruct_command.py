"""`ulzoo reconstruct RUN FILES…`: original and reconstruction side by side, bits and PSNR per file."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import cast

from ulzoo.cli.output import empty_folder
from ulzoo.cli.reporting import note
from ulzoo.data.source import Dataset
from ulzoo.errors import RunError
from ulzoo.run import Run

_TIMES = 64
"""Noise levels per image: a single image's rate needs more of them than an average over many."""


def run(arguments: argparse.Namespace) -> None:
    with Run.open(arguments.directory) as run:
        import jax
        import numpy as np

        from ulzoo.cli.clip_files import read_clip, write_result
        from ulzoo.cli.whole_files import reconstruct_whole
        from ulzoo.clips import animated_grid
        from ulzoo.data.decode import Filter, read_picture
        from ulzoo.experiment import Experiment
        from ulzoo.images import side_by_side
        from ulzoo.interfaces import SamplerIO
        from ulzoo.metrics.psnr import mean_squared_errors, psnr
        from ulzoo.programs.measure import keys_for, rates, reconstruct
        from ulzoo.showing import enlargement
        from ulzoo.stages import evaluation_of, spec_of

        spec = spec_of(run, note=note)
        shape = cast(Dataset, spec.data).io().shape
        if len(shape) not in (3, 4) or shape[0] not in (1, 3):
            raise RunError(
                f"{run.directory}: this run's data has the shape {shape}; only images and clips of 1 or 3"
                " channels are reconstructed from files"
            )
        files = [Path(name) for name in arguments.files]
        # All are read before the model is: a bad file name should not cost a minute.
        # The filter of the data, where it has one: the model is shown what training showed it.
        resize: Filter = getattr(spec.data, "resize", "bicubic")

        def read(file: Path) -> np.ndarray:
            if len(shape) == 4:
                return read_clip(file, shape, fps=arguments.fps, resize=resize, least=shape[1])[0]
            return read_picture(file, (shape[1], shape[2]), channels=shape[0], resize=resize)

        originals = np.zeros(0) if arguments.whole else np.stack([read(file) for file in files])
        folder = empty_folder(arguments.out, run.directory / "reconstructions")
        evaluation = evaluation_of(run, Experiment.of(spec), 1, checkpoint=arguments.checkpoint)
        sampler = spec.sample.decoder_sampler.build(SamplerIO(), key=None)
        if arguments.whole:
            reconstruct_whole(evaluation, files, sampler, folder, arguments)
            return
        word = "upper bound" if evaluation.is_bound else "proxy"
        print(f"{'file':40s} {'bits':>9s} {'bits/pixel':>11s} {'PSNR':>9s}   (rates: {word})")
        for i, file in enumerate(files):
            image = originals[i : i + 1]
            keys = keys_for(arguments.seed, np.array([i], np.int32))
            nats, _, _, _ = rates(evaluation.autoencoder, image, keys, _TIMES)
            bits = float(np.asarray(jax.device_get(nats)).mean()) / math.log(2.0)
            result = np.asarray(reconstruct(evaluation.autoencoder, image, keys, sampler))
            value = float(psnr(mean_squared_errors(image, result))[0])
            pair = (image[0], result[0])
            beside = side_by_side(*pair) if len(shape) == 3 else animated_grid(pair, 2)
            stem = f"{i:04d}-{file.stem}"
            path = write_result(folder, stem, beside, enlarge=enlargement(result), form=arguments.format)
            print(
                f"{file.name[:40]:40s} {bits:9.1f} {bits / evaluation.pixels:11.4f} {value:6.2f} dB   {path}"
            )
