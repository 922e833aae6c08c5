"""A few images of an evaluation with all that a viewer asks of them: reconstruction, PSNR, bits and where."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ulzoo.data.source import Split
from ulzoo.diffusion.accounting import label
from ulzoo.evaluation import TrainedEvaluation
from ulzoo.interfaces import SamplerIO
from ulzoo.metrics.base import RateTable, Record
from ulzoo.metrics.psnr import PEAK, mean_squared_errors, psnr
from ulzoo.parallel.mesh import fetch
from ulzoo.programs.measure import rates, reconstruct
from ulzoo.programs.program import raw_conditions

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


def examples_of(evaluation: TrainedEvaluation, count: int = COUNT) -> Examples:
    """A few held-out images, which depend on the split alone: runs on the same data show the same ones.

    What metrics have measured is not measured again: an image's numbers do not depend on its company.
    """
    split: Split = "heldout"
    images, labels = evaluation.images(split, CANDIDATES)
    chosen = in_turn(labels, len(images), count)
    index = evaluation.indices[split, CANDIDATES][chosen]
    table, times, rate_seed = _rates_at(evaluation, split, index, images[chosen])
    told = {} if labels is None else {"label": labels[chosen]}
    results, how = _reconstructions_at(evaluation, split, index, images[chosen], told)
    return Examples(
        split=split,
        index=index,
        labels=None if labels is None else labels[chosen],
        originals=images[chosen],
        reconstructions=results,
        nats=table.nats.mean(axis=1),
        maps=table.maps,
        times=times,
        protocol=how,
        rate_seed=rate_seed,
    )


def _rates_at(
    evaluation: TrainedEvaluation, split: Split, index: np.ndarray, images: np.ndarray
) -> tuple[RateTable, int, int]:
    """Rates of some images, their noise levels per image, and their seed."""
    for key, found, rows in evaluation.found("rates", split, index):
        parts = (found.nats, found.log_snr, found.diffusion, found.maps)
        return RateTable(*(part[rows] for part in parts)), key[3], key[4]
    # As a metric's, if there is one, so that no other program is compiled.
    times, seed = next(iter(evaluation.asked_of_rates(split)), (16, 0))
    placed, keys = evaluation.one_batch(seed, image=images, index=index)
    fetched = fetch(rates(evaluation.autoencoder, placed["image"], keys, times))
    return RateTable(*(np.asarray(part)[: len(index)] for part in fetched)), times, seed


def _reconstructions_at(
    evaluation: TrainedEvaluation,
    split: Split,
    index: np.ndarray,
    images: np.ndarray,
    told: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, Mapping[str, Any]]:
    """Reconstructions of some images by the spec's sampler, and their protocol."""
    config = evaluation.sample.decoder_sampler
    for key, (_, results, how), rows in evaluation.found("reconstructions", split, index):
        if key[4] == config.model_dump_json():
            return results[rows], how
    placed, keys = evaluation.one_batch(0, image=images, index=index, **told)
    sampler, raw = config.build(SamplerIO(), key=None), raw_conditions(placed)
    results = reconstruct(evaluation.autoencoder, placed["image"], keys, sampler, raw)
    how = {"decoder_sampler": config.model_dump(mode="json"), "seed": 0}
    return fetch(results)[: len(index)], how


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
