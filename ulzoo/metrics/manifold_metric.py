"""What precision, recall, density and coverage share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ulzoo.diffusion.accounting import bootstrap_interval
from ulzoo.errors import DataError
from ulzoo.metrics.base import Evaluation, Record
from ulzoo.metrics.collecting import Collection, Measure, Request
from ulzoo.metrics.frechet_metric import reference_of
from ulzoo.metrics.sinks import SetHash, Table
from ulzoo.metrics.streams import Real, Samples

Shares = Callable[[np.ndarray, np.ndarray, int], dict[str, np.ndarray]]


def manifold_measure(config: Any, shares: Shares) -> Measure:
    """A metric of one record for each name that `shares` gives: its mean, with a bootstrap interval.

    Args:
        config: with features, split, count, real_count, neighbours and seed.
        shares: from features of samples and of real images, and k.
    """
    real = Real(config.split, config.real_count)
    found = Request(Samples(config.count, config.seed), Table("pool"), config.features)
    reference = Request(real, Table("pool"), config.features)
    hashed = Request(real, SetHash())

    def finish(evaluation: Evaluation, collected: Collection) -> list[Record]:
        samples, images = collected[found], collected[reference]
        fewest = min(len(samples), len(images))
        if config.neighbours >= fewest:
            raise DataError(f"neighbour {config.neighbours} asked of {fewest} images")
        protocol = {
            **evaluation.protocol,
            **collected.protocols[found.stream],
            "seed": config.seed,
            "images": len(samples),
            "reference": reference_of(f"{config.split} images", collected[hashed]),
            "features": {**config.features.protocol(), "dimensions": samples.shape[1]},
            "neighbours": config.neighbours,
            "interval": "95 %, bootstrap over the images that the share is of; the balls are fixed",
        }
        return [
            Record(
                f"stage2/{config.split}/{name}",
                float(values.mean()),
                "1",
                protocol,
                bootstrap_interval(values[:, None], seed=config.seed),
            )
            for name, values in shares(samples, images, config.neighbours).items()
        ]

    return Measure((found, reference, hashed), finish)
