"""Latents that a run encodes for itself, once, before its second stage (`stage2.encode_once`)."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from ulzoo.autoencoder import Autoencoder
from ulzoo.data.latents import DRAWS, MIRRORED, views_for
from ulzoo.data.shard_files import is_finished
from ulzoo.data.source import Source
from ulzoo.encoding import encode, frames_given, latents_identity
from ulzoo.errors import DataError
from ulzoo.experiment import Experiment
from ulzoo.parallel.processes import several
from ulzoo.progress import Progress
from ulzoo.run import Run
from ulzoo.showing import Say

FOLDER = "latents"
_SHARD = 65536
"""Records of a shard, at most."""


def check_encode_once(experiment: Experiment) -> None:
    """Whether a run may encode for itself: asked before anything is trained.

    Raises:
        DataError: training would draw something at random that one encoding cannot hold, a condition needs
            more than latents, the data cannot be opened, or there are several processes.
    """
    settings = experiment.spec.stage2
    if settings is None or not settings.encode_once:
        return
    _check(experiment, experiment.data.open("train"))


def _check(experiment: Experiment, source: Source) -> None:
    if several():
        raise DataError(
            "stage2.encode_once encodes in one process, and this run has several\n"
            "    write the latents first, with `ulzoo encode` in one process, and name them as stage2.latents"
        )
    frames_given(experiment.spec)
    if views_for(source) == DRAWS:
        raise DataError(
            "stage2.encode_once: this data draws something new of a record each time (a crop, a motion),"
            " which no single encoding holds\n"
            "    leave encode_once out; or `ulzoo encode … --draws N`, and name the folder as stage2.latents"
        )


def latents_place(run: Run, experiment: Experiment, autoencoder: Autoencoder) -> Path | None:
    """The folder that stage 2 reads: the spec's, the run's own, or None where it encodes at every step.

    The run's own is named by what its latents are made from, so that those of an autoencoder which was
    trained again, after damage, are others.
    """
    settings = experiment.settings(2)
    if not settings.encode_once:
        return None if settings.latents is None else Path(settings.latents)
    return _own_place(run, experiment, autoencoder, experiment.data.open("train"))


def _own_place(run: Run, experiment: Experiment, autoencoder: Autoencoder, source: Source) -> Path:
    made_from = latents_identity(experiment.spec, autoencoder, source, "train")
    name = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:12]
    return run.directory / FOLDER / name


def encode_if_asked(run: Run, experiment: Experiment, autoencoder: Autoencoder, say: Say) -> Path | None:
    """`latents_place`, with latents in it; goes on where an earlier process was interrupted.

    Raises:
        DataError: as `check_encode_once`; or a record cannot be read.
    """
    if not experiment.settings(2).encode_once:
        return latents_place(run, experiment, autoencoder)
    # Opened once: listing a large folder takes its time.
    source = experiment.data.open("train")
    _check(experiment, source)
    place = _own_place(run, experiment, autoencoder, source)
    if is_finished(place):
        return place
    # Of an autoencoder that has been trained again since.
    for stale in place.parent.glob("*"):
        if stale != place:
            shutil.rmtree(stale)
    with Progress("encode", len(source), unit="records") as progress:
        manifest = encode(
            experiment.spec,
            autoencoder,
            source,
            place,
            split="train",
            shards=-(-len(source) // _SHARD),
            mesh=experiment.mesh,
            flip=views_for(source) == MIRRORED,
            threads=max(1, experiment.settings(2).readers),
            advance=progress.advance,
        )
    say(f"stage 2: encoded {manifest['records']} records, {manifest['bytes'] / 1e6:.1f} MB, to {place}")
    return place
