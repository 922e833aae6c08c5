"""`ulzoo predict RUN CLIP…` and `ulzoo interpolate RUN A B`: clips that go on from given frames."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ulzoo.cli.arguments import check_label
from ulzoo.cli.frames_given import check_overlap, note_untrained, usual_beginning
from ulzoo.cli.output import empty_folder
from ulzoo.cli.reporting import note
from ulzoo.data.source import Dataset
from ulzoo.errors import RunError
from ulzoo.run import Run

if TYPE_CHECKING:
    from ulzoo.cli.clip_files import Seen


def run(arguments: argparse.Namespace) -> None:
    """Predicts what follows the first frames of each file."""
    import numpy as np

    with Run.open(arguments.directory) as run:
        spec = clip_spec(run)
        shape = cast(Dataset, spec.data).io().shape
        count = usual_beginning(spec) if arguments.given is None else arguments.given
        if count >= shape[1]:
            raise RunError(f"--given: must be less than a clip's {shape[1]} frames, got {count}")
        overlap = count if arguments.overlap is None else arguments.overlap
        check_overlap(overlap, shape[1])
        frames = shape[1] if arguments.frames is None else arguments.frames
        if frames <= count:
            raise RunError(f"--frames: must be more than the {count} given, got {frames}")
        from ulzoo.cli.clip_files import check_format, read_clip
        from ulzoo.data.viewing import viewing

        check_format(arguments.format)
        view = viewing(spec.data, arguments.fps)
        files = [Path(name) for name in arguments.files]
        # All are read before the model is: a bad file name should not cost a minute.
        found = [read_clip(file, (shape[0], frames, *shape[2:]), view, least=count) for file in files]
        later = () if frames <= shape[1] else ((overlap, 0),)
        note_untrained(spec, (count, 0), *later)
        given = np.arange(frames) < count
        names = [f"{i:04d}-{file.stem}" for i, file in enumerate(files)]
        complete(run, spec, arguments, found, given, names, overlap)


def interpolate(arguments: argparse.Namespace) -> None:
    """Goes from one image to another."""
    import numpy as np

    with Run.open(arguments.directory) as run:
        spec = clip_spec(run)
        channels, frames, height, width = cast(Dataset, spec.data).io().shape
        from ulzoo.cli.clip_files import Seen, check_format, picture_seen
        from ulzoo.clips import FRAMES_PER_SECOND
        from ulzoo.data.viewing import viewing

        check_format(arguments.format)
        view = viewing(spec.data)
        note_untrained(spec, (1, 1))
        clip = np.zeros((frames, height, width, channels), np.uint8)
        for place, name in ((0, arguments.first), (-1, arguments.last)):
            clip[place] = picture_seen(Path(name), (channels, height, width), view)
        given = np.isin(np.arange(frames), [0, frames - 1])
        name = f"{Path(arguments.first).stem}-to-{Path(arguments.last).stem}"
        seen = Seen(clip, 0, view.fps or FRAMES_PER_SECOND)
        complete(run, spec, arguments, [seen], given, [name])


def clip_spec(run: Run) -> Any:
    """The spec of a run on clips whose base model takes frames.

    Raises:
        RunError: it is another run.
    """
    from ulzoo.experiment import conditioned_on_frames
    from ulzoo.stages import spec_of

    spec = spec_of(run, note=note)
    shape = cast(Dataset, spec.data).io().shape
    if len(shape) != 4:
        raise RunError(f"{run.directory}: this run's data are images, of shape {shape}; clips are completed")
    if not conditioned_on_frames(spec):
        raise RunError(
            f"{run.directory}: the base model takes no frames\n"
            "    it needs the conditioner ulzoo.given_frames.v1 when it is trained"
        )
    return spec


def complete(
    run: Run,
    spec: Any,
    arguments: argparse.Namespace,
    found: Sequence[Seen],
    given: Any,
    names: Sequence[str],
    overlap: int = 1,
) -> None:
    """Completes clips and writes each as a file, given frames with a bright border, and as a row of frames.

    Args:
        found: where a file gave more frames than are given, their PSNR is printed.
        given: bool (t,); of a clip of another length than the model's, some first frames.
        overlap: frames that later chunks of a longer clip are given.
    """
    import numpy as np

    from ulzoo import completion
    from ulzoo.cli.clip_files import write_result
    from ulzoo.clips import marked
    from ulzoo.experiment import Experiment
    from ulzoo.images import side_by_side, write_png
    from ulzoo.metrics.prediction_psnr import frame_psnr
    from ulzoo.programs.measure import keys_for
    from ulzoo.showing import enlargement
    from ulzoo.stages import evaluation_of

    experiment = Experiment.of(spec)
    classes = experiment.assembly.data.num_classes
    if arguments.label is not None:
        check_label(arguments.label, classes)
    evaluation = evaluation_of(run, experiment, 2, checkpoint=arguments.checkpoint)
    folder = empty_folder(arguments.out, run.directory / "predictions")
    for i, ((clip, frames, fps), name) in enumerate(zip(found, names, strict=True)):
        keys = keys_for(arguments.seed, np.array([i], np.int32))
        labels = None if arguments.label is None else np.array([arguments.label], np.int32)
        if len(clip) == experiment.assembly.data.shape[1]:
            made = completion.complete(evaluation, clip[None], given, keys, labels)[0]
        else:
            known = clip[: np.count_nonzero(given)]
            made = completion.prolong(evaluation, known, len(clip), overlap, keys[0], labels)
        # What was given is known; the model's own version of it is not what a user asked for.
        whole = np.where(given[:, None, None, None], clip, made)
        larger = enlargement(whole)
        shown = marked(whole, given)
        path = write_result(folder, name, shown, enlarge=larger, form=arguments.format, fps=fps)
        seen = np.arange(len(clip)) < frames
        rows = [clip, whole] if (seen & ~given).any() else [whole]
        sheet = side_by_side(*(marked(row, given) for row in rows))
        write_png(folder / f"{name}-frames.png", sheet, enlarge=larger)
        ratios = frame_psnr(clip[None], whole[None])[0][seen & ~given]
        words = " ".join(f"{ratio:.1f}" for ratio in ratios)
        print(f"{name}: {path}" + (f"   PSNR of predicted frames: {words} dB" if len(ratios) else ""))
    protocol = {**evaluation.protocol, **evaluation.sampling_protocol(), "seed": arguments.seed}
    protocol |= {"starts": "independent", "given": np.flatnonzero(given).tolist()}
    if len(given) != experiment.assembly.data.shape[1]:
        protocol |= {"frames": len(given), "overlap": overlap}
    (folder / "protocol.json").write_text(json.dumps(protocol, indent=2) + "\n", encoding="utf-8")
