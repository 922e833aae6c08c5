"""A few images of an evaluation with all that a viewer asks of them: reconstruction, PSNR, bits and where."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ulzoo.diffusion.accounting import label
from ulzoo.metrics.base import Record
from ulzoo.metrics.psnr import PEAK, mean_squared_errors, psnr

COUNT = 12
"""Images shown: a row or two of a page."""

CANDIDATES = 240
"""Images of a split, spread evenly, that they are chosen from: enough for a few of each class."""

_MOST_POSITIONS = 4096
"""Positions of a latent up to which each image's own map is kept: a record is one line of text."""


@dataclass(frozen=True)
class Examples:
    """n images of a split.

    Attributes:
        split: "heldout" or "train".
        index: (n,) places in the split.
        labels: int32 (n,), None without labels.
        originals, reconstructions: uint8 (n, *space, c).
        nats: (n,) rates, mean over `times` noise levels.
        maps: (n, *latent space) nats per latent position.
        times: noise levels per image.
        protocol: of the reconstructions: decoder's sampler and seed.
        rate_seed: of the noise and times of the rates.
    """

    split: str
    index: np.ndarray
    labels: np.ndarray | None
    originals: np.ndarray
    reconstructions: np.ndarray
    nats: np.ndarray
    maps: np.ndarray
    times: int
    protocol: Mapping[str, Any]
    rate_seed: int


def in_turn(labels: np.ndarray | None, among: int, count: int) -> np.ndarray:
    """`count` of `among` images: of each class in turn, where there are classes and no more than `count`.

    By class and then rising. Otherwise spread evenly; all of them if there are no more.
    """
    if among <= count:
        return np.arange(among)
    classes = np.unique(labels) if labels is not None else np.array([])
    if labels is None or len(classes) > count:
        return np.arange(count) * among // count
    # The k-th image of each class before the k+1-st of any.
    rank = np.empty(among, np.int64)
    for each in classes:
        places = np.flatnonzero(labels == each)
        rank[places] = np.arange(len(places))
    chosen = np.lexsort((labels, rank))[:count]
    return chosen[np.lexsort((rank[chosen], labels[chosen]))]


def example_records(examples: Examples, protocol: Mapping[str, Any], *, is_bound: bool) -> list[Record]:
    """Two records, mean PSNR and mean bits of the images; `extra.images` has those of each one.

    Args:
        protocol: what all numbers of the evaluation share.
        is_bound: whether the rate is an upper bound.
    """
    bits = examples.nats / math.log(2.0)
    maps = examples.maps / math.log(2.0)
    ratios = psnr(mean_squared_errors(examples.originals, examples.reconstructions))
    each: list[dict[str, Any]] = [{"index": int(index)} for index in examples.index]
    if examples.labels is not None:
        each = [{**one, "label": int(of)} for one, of in zip(each, examples.labels, strict=True)]
    shared = {**protocol, "split": examples.split, "images": len(each)}
    with_maps = math.prod(maps.shape[1:]) <= _MOST_POSITIONS
    priced = [
        {**one, "bits": float(price), **({"bits_by_position": _short(where)} if with_maps else {})}
        for one, price, where in zip(each, bits, maps, strict=True)
    ]
    seen = [{**one, "psnr": float(ratio)} for one, ratio in zip(each, ratios, strict=True)]
    how_seen = {**shared, **examples.protocol, "peak": PEAK}
    how_priced = {
        **shared,
        "times": examples.times,
        "seed": examples.rate_seed,
        "rate": label(is_bound),
    }
    prefix = f"stage1/{examples.split}/examples"
    # (count, h, w, c) of images, (count, t, h, w, c) of clips.
    unit = "bits/clip" if examples.originals.ndim == 5 else "bits/image"
    return [
        Record(f"{prefix}/psnr", float(ratios.mean()), "dB", how_seen, None, {"images": seen}),
        Record(f"{prefix}/bits", float(bits.mean()), unit, how_priced, None, {"images": priced}),
    ]


def _short(values: np.ndarray) -> Any:
    """Four decimals of a bit are more than a picture shows."""
    return np.round(values, 4).tolist()
