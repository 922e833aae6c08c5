"""A few held-out clips, and how the base model goes on from their given frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ulzoo.completion import complete, usual_frames
from ulzoo.evaluation import TrainedEvaluation
from ulzoo.examples import CANDIDATES, in_turn
from ulzoo.metrics.base import Record
from ulzoo.metrics.prediction_psnr import frame_psnr
from ulzoo.metrics.psnr import CAP, PEAK

COUNT = 8
"""Clips shown."""


@dataclass(frozen=True)
class Continued:
    """n clips of a split.

    Attributes:
        index: (n,) places in the split.
        labels: int32 (n,), None without labels.
        originals: uint8 (n, t, h, w, c).
        made: the same with what is not given as the model made it.
        given: bool (t,).
        protocol: samplers and seed.
    """

    split: str
    index: np.ndarray
    labels: np.ndarray | None
    originals: np.ndarray
    made: np.ndarray
    given: np.ndarray
    protocol: Mapping[str, Any]


def continued(evaluation: TrainedEvaluation, count: int = COUNT) -> Continued | None:
    """Clips of each class in turn, continued from the frames that the base model was first of all trained to
    be given; None if it takes no frames. What a metric has predicted already is taken from there."""
    given = usual_frames(evaluation.base)
    if given is None or len(evaluation.assembly.data.shape) != 4:
        return None
    clips, labels = evaluation.images("heldout", CANDIDATES)
    chosen = in_turn(labels, len(clips), count)
    index, clips = evaluation.indices["heldout", CANDIDATES][chosen], clips[chosen]
    labels = None if labels is None else labels[chosen]
    made, how = _predicted(evaluation, index, given)
    if made is None:
        told = {} if labels is None else {"label": labels}
        placed, keys = evaluation.one_batch(0, image=clips, index=index, **told)
        made = complete(evaluation, placed["image"], given, keys, placed.get("label"))[: len(index)]
        how = {**evaluation.sampling_protocol(), "starts": "independent", "seed": 0}
    # What was given is known; the model's own version of it is not what anyone asked for.
    made = np.where(given[:, None, None, None], clips, made)
    return Continued("heldout", index, labels, clips, made, given, how)


def _predicted(evaluation: TrainedEvaluation, index: np.ndarray, given: np.ndarray) -> Any:
    """What a metric has predicted of these clips, and its protocol; None and {} if none has."""
    count = int(given.sum())
    for key, (_, made, how), rows in evaluation.found("predictions", "heldout", index):
        if key[3] == count and given[:count].all():
            return made[rows], how
    return None, {}


def continued_records(found: Continued, protocol: Mapping[str, Any]) -> list[Record]:
    """One record, the mean PSNR of the frames that were not given; `extra.images` has that of each clip."""
    hidden = ~found.given
    ratios = frame_psnr(found.originals[:, hidden], found.made[:, hidden])
    each: list[dict[str, Any]] = [{"index": int(index)} for index in found.index]
    if found.labels is not None:
        each = [{**one, "label": int(of)} for one, of in zip(each, found.labels, strict=True)]
    seen = [{**one, "psnr": float(of.mean())} for one, of in zip(each, ratios, strict=True)]
    how = {
        **protocol,
        **found.protocol,
        "split": found.split,
        "clips": len(each),
        "given": np.flatnonzero(found.given).tolist(),
        "peak": PEAK,
        "cap_db": CAP,
    }
    name = f"stage2/{found.split}/examples/prediction_psnr"
    return [Record(name, float(ratios.mean()), "dB", how, None, {"images": seen})]
