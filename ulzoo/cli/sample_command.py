"""`ulzoo sample RUN`: PNG files and a grid."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ulzoo.errors import RunError


def run(arguments: argparse.Namespace) -> None:
    import numpy as np

    from ulzoo.images import grid, write_png
    from ulzoo.run import Run
    from ulzoo.stages import Experiment, enlargement, evaluation_of, spec_of

    with Run.open(arguments.directory) as run:
        spec = spec_of(run)
        if spec.stage2 is None:
            raise RunError(f"{run.directory}: the spec has no stage 2 to sample from")
        settings = _settings(spec.sample, arguments)
        experiment = Experiment.of(spec.model_copy(update={"sample": settings}))
        classes = experiment.assembly.data.num_classes
        labels = _labels(arguments, classes)
        evaluation = evaluation_of(run, experiment, 2)
        images = evaluation.draw(arguments.count, labels, settings.seed)
        folder = Path(arguments.out) if arguments.out else _numbered(run.samples)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise RunError(f"{folder}: is not empty; choose another --out")
        scale = enlargement(images)
        for i, image in enumerate(images):
            label = "" if labels is None else f"-class{labels[i]}"
            write_png(folder / f"{i:05d}{label}.png", image)
        columns = max(1, round(np.sqrt(len(images))))
        columns = classes if labels is not None and arguments.label is None and classes <= 20 else columns
        write_png(folder / "grid.png", grid(images, min(columns, len(images))), enlarge=scale)
        protocol = {**evaluation.protocol, **evaluation.sampling_protocol(), "seed": settings.seed}
        (folder / "protocol.json").write_text(json.dumps(protocol, indent=2) + "\n", encoding="utf-8")
        print(f"{len(images)} samples and grid.png: {folder}")


def _settings(sample: Any, arguments: argparse.Namespace) -> Any:
    """The spec's sampling settings with the command line's changes, validated like a spec."""
    from pydantic import ValidationError

    from ulzoo.registry import Registry
    from ulzoo.spec.component import Resolution

    data = sample.model_dump(mode="json")
    registry = Registry.discover()
    if arguments.sampler is not None:
        name = _sampler_name(registry, arguments.sampler)
        data["sampler"] = {"type": name, "steps": data["sampler"].get("steps", 64)}
    if arguments.steps is not None:
        data["sampler"]["steps"] = arguments.steps
    if arguments.decoder_steps is not None:
        data["decoder_sampler"]["steps"] = arguments.decoder_steps
    if arguments.guidance is not None:
        data["guidance"]["scale"] = arguments.guidance
    if arguments.seed is not None:
        data["seed"] = arguments.seed
    try:
        return type(sample).model_validate_json(json.dumps(data), strict=True, context=Resolution(registry))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise RunError("sampling: " + "; ".join(lines)) from error


def _sampler_name(registry: Any, given: str) -> str:
    """A registered name; `ddim` stands for the one sampler called so."""
    names = sorted({entry.name for entry in registry.entries("sampler")})
    short = [name for name in names if name.split(".")[1] == given]
    if len(short) == 1:
        return short[0]
    return registry.find("sampler", given).name


def _labels(arguments: argparse.Namespace, classes: int | None) -> Any:
    import numpy as np

    if classes is None:
        if arguments.label is not None:
            raise RunError("--label: the data has no classes")
        return None
    if arguments.label is None:
        return np.arange(arguments.count, dtype=np.int32) % classes
    if not 0 <= arguments.label < classes:
        raise RunError(f"--label: must be from 0 to {classes - 1}, got {arguments.label}")
    return np.full(arguments.count, arguments.label, np.int32)


def _numbered(folder: Path) -> Path:
    taken = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return folder / next(name for i in range(1, 10**6) if (name := f"{i:04d}") not in taken)
