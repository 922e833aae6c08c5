"""`ulzoo reconstruct --whole`: files larger than a model was trained on, through its latent in windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ulzoo.cli.clip_files import frames_seen, mean_rate, write_result
from ulzoo.clips import FRAMES_PER_SECOND, animated_grid
from ulzoo.data.decode import decode
from ulzoo.data.viewing import Viewing, viewing
from ulzoo.errors import DataError, RunError
from ulzoo.images import Pixels, side_by_side

if TYPE_CHECKING:
    from ulzoo.beyond import Grid


def read_at_full_size(path: Path, grid: Grid, view: Viewing) -> tuple[Pixels, float]:
    """A file's frames as a clip (t, h, w, c), or an image (h, w, c), as they are: each axis cut to a multiple
    of the latent's factor, in space on both sides. And how many frames are shown a second.

    Raises:
        DataError: the file cannot be read, or is shorter or smaller than what the model was trained on.
        RunError: PyAV is needed and absent.
    """
    channels, *least = grid.data
    fps = float(FRAMES_PER_SECOND)
    if len(grid.data) == 4:
        frames, starts = [], []
        for shown in frames_seen(path, view):
            frames.append(_cut(np.asarray(shown.picture), channels, grid.factors[-2:]))
            starts.append(shown.start)
        fps = view.fps or mean_rate(starts)
        frames = frames[: len(frames) - len(frames) % grid.factors[0]]
        pixels = np.stack(frames) if frames else np.zeros((0, 0, 0, channels), np.uint8)
    else:
        from PIL import Image, ImageOps

        try:
            with Image.open(path) as picture:
                upright = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{path}: cannot be read as an image: {error}") from error
        pixels = _cut(upright, channels, grid.factors)
    if any(have < want for have, want in zip(pixels.shape, least, strict=False)):
        have, want = ("×".join(map(str, sizes)) for sizes in (pixels.shape[:-1], least))
        raise DataError(f"{path}: {have} is less than the {want} that the model was trained on")
    return pixels, fps


def _cut(frame: Pixels, channels: int, factors: Sequence[int]) -> Pixels:
    size = [have - have % by for have, by in zip(frame.shape, factors, strict=False)]
    # As large as the crop: pixels are copied.
    return decode(frame, (size[0], size[1]), channels=channels, crop=(size[0], size[1]))


def reconstruct_whole(
    evaluation: Any, files: Sequence[Path], sampler: Any, folder: Path, arguments: Any
) -> None:
    """Writes each file beside what the model makes of it, and prints its PSNR and the seams in time."""
    from ulzoo.beyond import Grid, check_plain, reconstruct_in_windows
    from ulzoo.metrics.psnr import mean_squared_errors, psnr
    from ulzoo.programs.measure import keys_for
    from ulzoo.windows import seam

    check_plain(evaluation.autoencoder.encoder)
    grid = Grid(evaluation.assembly.data.shape, evaluation.latent_shape)
    if arguments.overlap >= 1:
        raise RunError(f"--overlap: must be below 1, got {arguments.overlap}")
    overlaps = grid.overlaps(arguments.overlap)
    view = viewing(evaluation.data, arguments.fps)
    print(f"{'file':40s} {'size':>16s} {'windows':>8s} {'PSNR':>9s} {'seam':>6s}")
    for i, file in enumerate(files):
        pixels, fps = read_at_full_size(file, grid, view)
        key = keys_for(arguments.seed, np.array([i], np.int32))[0]
        made = reconstruct_in_windows(evaluation.autoencoder, pixels, grid, overlaps, sampler, key=key)
        small = [size // by for size, by in zip(pixels.shape, grid.factors, strict=False)]
        windows = grid.windows(small, overlaps)
        value = float(psnr(mean_squared_errors(pixels[None], made[None]))[0])
        pair = (pixels, made)
        clip = pixels.ndim == 4
        cuts = sorted({window[0].first * grid.factors[0] for window in windows} - {0}) if clip else []
        jump = seam(made, pixels, cuts) if clip else None
        beside = animated_grid(pair, 2) if clip else side_by_side(*pair)
        stem = f"{i:04d}-{file.stem}"
        path = write_result(folder, stem, beside, enlarge=1, form=arguments.format, fps=fps)
        told = "" if jump is None else f"{jump:.2f}"
        size = "×".join(map(str, pixels.shape[:-1]))
        print(f"{file.name[:40]:40s} {size:>16s} {len(windows):8d} {value:6.2f} dB {told:>6s}   {path}")
