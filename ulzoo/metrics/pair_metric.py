"""What distances between an image and its reconstruction share: a mean over images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ulzoo.diffusion.accounting import bootstrap_interval
from ulzoo.metrics.base import Evaluation, Record
from ulzoo.metrics.collecting import Collection, Measure, Network, Request
from ulzoo.metrics.sinks import SetHash, Table
from ulzoo.metrics.streams import Real, Reconstructions


def pair_measure(config: Any, name: str, network: Network, how: Mapping[str, Any]) -> Measure:
    """A metric of one record: the mean over images of the values `name` of a network.

    Args:
        config: with split, count, seed and sampler.
        name: of the record and of the network's values: (n,), or (n, t) for clips whose frames are compared
            one by one; `extra` then has the means of each frame.
        network: what compares `images` and `originals` of a batch.
        how: further entries of the protocol.
    """
    stream = Reconstructions(config.split, config.count, config.seed, config.sampler)
    found = Request(stream, Table(name), network)
    hashed = Request(Real(config.split, config.count), SetHash())

    def finish(evaluation: Evaluation, collected: Collection) -> list[Record]:
        values = np.asarray(collected[found], np.float64)
        extra = {"by_frame": values.mean(0)} if values.ndim == 2 else {}
        values = values.mean(1) if values.ndim == 2 else values
        sha256, count = collected[hashed]
        protocol = {
            **evaluation.protocol,
            **collected.protocols[stream],
            "split": config.split,
            "images": len(values),
            "seed": config.seed,
            "reference": {"of": "the reconstructed images themselves", "sha256": sha256, "images": count},
            **network.protocol(),
            **how,
            "interval": "95 %, bootstrap over images",
        }
        interval = bootstrap_interval(values[:, None], seed=config.seed)
        return [Record(f"stage1/{config.split}/{name}", float(values.mean()), "1", protocol, interval, extra)]

    return Measure((found, hashed), finish)
