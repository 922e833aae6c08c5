"""`ulzoo sample RUN`: PNG files and a grid."""

from __future__ import annotations

import argparse
import json
from typing import Any, cast

from ulzoo.cli.arguments import check_label
from ulzoo.cli.frames_given import check_overlap, note_untrained, usual_beginning
from ulzoo.cli.output import empty_folder
from ulzoo.cli.reporting import note
from ulzoo.data.source import Dataset
from ulzoo.errors import RunError
from ulzoo.registry import Registry
from ulzoo.run import Run
from ulzoo.spec import Component


def run(arguments: argparse.Namespace) -> None:
    with Run.open(arguments.directory) as run:
        from ulzoo.stages import spec_of

        spec = spec_of(run, note=note)
        spec = spec_of(run, changes(arguments, spec.sample.sampler, Registry.discover()))
        if spec.stage2 is None:
            raise RunError(f"{run.directory}: the spec has no stage 2 to sample from")
        import numpy as np

        from ulzoo.cli.clip_files import check_format, write_result
        from ulzoo.clips import animated_grid, write_clip
        from ulzoo.completion import lengthened
        from ulzoo.experiment import Experiment, takes_labels
        from ulzoo.images import grid, write_png
        from ulzoo.showing import enlargement, pace
        from ulzoo.stages import evaluation_of

        check_format(arguments.format)
        still, overlap = _length(arguments, spec)
        experiment = Experiment.of(spec)
        classes = experiment.assembly.data.num_classes
        labels = _labels(arguments, classes, takes_labels(spec))
        evaluation = evaluation_of(run, experiment, 2, checkpoint=arguments.checkpoint)
        folder = empty_folder(arguments.out, run.samples)
        images = evaluation.draw(arguments.count, labels, spec.sample.seed, still=still)
        images = images[:, 0] if still else images
        if overlap:
            images = lengthened(evaluation, images, arguments.frames, overlap, spec.sample.seed, labels)
        fps = pace(evaluation)
        named = labels is not None and takes_labels(spec)
        for i, image in enumerate(images):
            label = f"-class{labels[i]}" if named else ""
            write_result(folder, f"{i:05d}{label}", image, enlarge=1, form=arguments.format, fps=fps)
        columns = max(1, round(np.sqrt(len(images))))
        if classes is not None and classes <= 20 and arguments.label is None:
            columns = classes
        write_png(folder / "grid.png", grid(images, columns), enlarge=enlargement(images))
        if images.ndim == 5:
            sheet = animated_grid(images, columns)
            write_clip(folder / f"grid.{arguments.format}", sheet, enlarge=enlargement(images), fps=fps)
        protocol = {**evaluation.protocol, **evaluation.sampling_protocol(), "seed": spec.sample.seed}
        if still or overlap:
            protocol |= {"frames": arguments.frames, "overlap": overlap or None}
        (folder / "protocol.json").write_text(json.dumps(protocol, indent=2) + "\n", encoding="utf-8")
        print(f"{len(images)} samples and grid.png: {folder}")


def changes(arguments: argparse.Namespace, sampler: Component, registry: Registry) -> dict[str, Any]:
    """What the command line changes of the spec's `sample`, by dotted path.

    Args:
        sampler: the spec's; another one takes as many steps unless `--steps` says how many.

    Raises:
        RegistryError: no sampler of that name.
    """
    name, steps = None, arguments.steps
    if arguments.sampler is not None:
        name = sampler_name(registry, arguments.sampler)
        steps = getattr(sampler, "steps", None) if steps is None else steps
    given = {
        "sample.seed": arguments.seed,
        "sample.sampler.type": name,
        "sample.sampler.steps": steps,
        "sample.decoder_sampler.steps": arguments.decoder_steps,
        "sample.guidance.scale": arguments.guidance,
        "sample.starts": arguments.starts,
    }
    return {path: value for path, value in given.items() if value is not None}


def sampler_name(registry: Registry, given: str) -> str:
    """A registered name; `ddim` stands for the one sampler called so.

    Raises:
        RegistryError: no such sampler; says which is nearest, or which there are.
    """
    from ulzoo.errors import RegistryError
    from ulzoo.spec.messages import nearest

    names = sorted({entry.name for entry in registry.entries("sampler")})
    if given in names or "." in given:
        return registry.find("sampler", given).name
    called: dict[str, list[str]] = {}
    for name in names:
        called.setdefault(name.split(".")[1], []).append(name)
    if len(called.get(given, ())) == 1:
        return called[given][0]
    if given in called:
        raise RegistryError(f"--sampler: {given!r} may be any of {', '.join(called[given])}")
    near = nearest(given, sorted(called))
    hint = f"; did you mean '{near}'?" if near else f"\n    samplers here: {', '.join(sorted(called))}"
    raise RegistryError(f"--sampler: no sampler named {given!r}{hint}")


def _length(arguments: argparse.Namespace, spec: Any) -> tuple[bool, int]:
    """Whether single images are asked for; and of clips longer than in training how many frames of a chunk
    the next is given, 0 of others.

    Raises:
        RunError: a length that this model does not make.
    """
    from ulzoo.experiment import conditioned_on_frames

    frames, io = arguments.frames, cast(Dataset, spec.data).io()
    clips = len(io.shape) == 4
    trained = io.shape[1] if clips else 1
    if arguments.overlap is not None and (frames is None or frames <= trained):
        raise RunError("--overlap: is for --frames above the trained length")
    if frames is None or frames == trained:
        return False, 0
    if not clips:
        raise RunError(f"--frames: this run's data are images, of shape {io.shape}")
    if frames < trained:
        if frames == 1 and io.stills:
            return True, 0
        ones = "1 or at least" if io.stills else "at least"
        why = "" if frames > 1 else "\n    single images need a model trained on both: ulzoo.with_images.v1"
        raise RunError(f"--frames: must be {ones} the {trained} of a clip in training, got {frames}{why}")
    if not conditioned_on_frames(spec):
        raise RunError(
            f"--frames: {frames} are more than the {trained} of a clip, and the base model cannot go on from"
            " frames\n    it needs the conditioner ulzoo.given_frames.v1 when it is trained"
        )
    overlap = usual_beginning(spec) if arguments.overlap is None else arguments.overlap
    check_overlap(overlap, trained)
    note_untrained(spec, (overlap, 0))
    return False, overlap


def _labels(arguments: argparse.Namespace, classes: int | None, conditioned: bool) -> Any:
    import numpy as np

    if classes is None:
        if arguments.label is not None:
            raise RunError("--label: the data has no classes")
        return None
    if arguments.label is not None and not conditioned:
        raise RunError("--label: the base model is not told classes")
    if arguments.label is None:
        return np.arange(arguments.count, dtype=np.int32) % classes
    check_label(arguments.label, classes)
    return np.full(arguments.count, arguments.label, np.int32)
