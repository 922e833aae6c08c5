"""`ulzoo reconstruct RUN FILES…`: original and reconstruction side by side, bits and PSNR per file."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, cast

from ulzoo.cli.arguments import check_label
from ulzoo.cli.output import empty_folder
from ulzoo.cli.reporting import note
from ulzoo.data.source import Dataset
from ulzoo.errors import DataError, RunError
from ulzoo.run import Run

_TIMES = 64
"""Noise levels per image: a single image's rate needs more of them than an average over many."""


def run(arguments: argparse.Namespace) -> None:
    with Run.open(arguments.directory) as run:
        import jax
        import numpy as np

        from ulzoo.cli.clip_files import check_format, is_picture, picture_seen, read_clip, write_result
        from ulzoo.cli.whole_files import reconstruct_whole
        from ulzoo.clips import animated_grid
        from ulzoo.data.viewing import viewing
        from ulzoo.experiment import Experiment
        from ulzoo.images import side_by_side, write_png
        from ulzoo.interfaces import SamplerIO
        from ulzoo.metrics.psnr import mean_squared_errors, psnr
        from ulzoo.programs.measure import keys_for, rates, reconstruct
        from ulzoo.showing import enlargement
        from ulzoo.stages import evaluation_of, spec_of

        spec = spec_of(run, note=note)
        io = cast(Dataset, spec.data).io()
        shape = io.shape
        if len(shape) not in (3, 4) or shape[0] not in (1, 3):
            raise RunError(
                f"{run.directory}: this run's data has the shape {shape}; only images and clips of 1 or 3"
                " channels are reconstructed from files"
            )
        files = [Path(name) for name in arguments.files]
        # All are read before the model is: a bad file name should not cost a minute.
        check_format(arguments.format)
        told = _told(spec, arguments, io.num_classes)
        # As the data does: the model is shown what training showed it.
        view = viewing(spec.data, arguments.fps)

        def read(file: Path) -> tuple[np.ndarray, float | None]:
            if len(shape) == 3:
                return picture_seen(file, shape, view), None
            if is_picture(file) and not io.stills and shape[1] > 1:
                raise DataError(
                    f"{file}: is one picture, but this model takes clips of {shape[1]} frames\n"
                    "    one that is trained on images beside clips (ulzoo.with_images.v1) takes both"
                )
            frames = 1 if is_picture(file) else shape[1]
            seen = read_clip(file, (shape[0], frames, *shape[2:]), view, least=frames)
            return seen.clip, seen.fps

        originals = [] if arguments.whole else [read(file) for file in files]
        folder = empty_folder(arguments.out, run.directory / "reconstructions")
        evaluation = evaluation_of(run, Experiment.of(spec), 1, checkpoint=arguments.checkpoint)
        sampler = spec.sample.decoder_sampler.build(SamplerIO(), key=None)
        if arguments.whole:
            reconstruct_whole(evaluation, files, sampler, folder, arguments)
            return
        word = "upper bound" if evaluation.is_bound else "proxy"
        print(f"{'file':40s} {'bits':>9s} {'bits/pixel':>11s} {'PSNR':>9s}   (rates: {word})")
        for i, (file, (original, fps)) in enumerate(zip(files, originals, strict=True)):
            image = original[None]
            keys = keys_for(arguments.seed, np.array([i], np.int32))
            nats, _, _, _ = rates(evaluation.autoencoder, image, keys, _TIMES)
            bits = float(np.asarray(jax.device_get(nats)).mean()) / math.log(2.0)
            result = np.asarray(reconstruct(evaluation.autoencoder, image, keys, sampler, told))
            value = float(psnr(mean_squared_errors(image, result))[0])
            # A clip of one frame is the picture that it was.
            pair = tuple(one[0] if one.shape[:-3] == (1,) else one for one in (original, result[0]))
            moving, larger, stem = pair[0].ndim == 4, enlargement(result), f"{i:04d}-{file.stem}"
            beside = animated_grid(pair, 2) if moving else side_by_side(*pair)
            path = write_result(folder, stem, beside, enlarge=larger, form=arguments.format, fps=fps)
            if moving:
                write_png(folder / f"{stem}-frames.png", side_by_side(*pair), enlarge=larger)
            per_pixel = bits / (original.size / shape[0])
            print(f"{file.name[:40]:40s} {bits:9.1f} {per_pixel:11.4f} {value:6.2f} dB   {path}")


def _told(spec: Any, arguments: argparse.Namespace, classes: int | None) -> dict[str, Any]:
    """What the decoder is told of each file beside its latent. Raises RunError for a class that it is not."""
    import numpy as np

    if arguments.label is None:
        return {}
    conditioners = getattr(spec.decoder, "conditioners", ())
    if all(getattr(each, "gives_frames", False) for each in conditioners):
        raise RunError("--label: the decoder is told no class")
    if arguments.whole:
        raise RunError("--label: not with --whole")
    check_label(arguments.label, classes)
    return {"label": np.array([arguments.label], np.int32)}
