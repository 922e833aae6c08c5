"""What Fréchet distances of samples and of reconstructions share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ulzoo.errors import DataError, InterfaceError
from ulzoo.metrics.base import Evaluation, Record
from ulzoo.metrics.collecting import Collection, Measure, Request
from ulzoo.metrics.fid_distance import bootstrap_deviation, distance, normal_interval
from ulzoo.metrics.reference_file import check_reference, read_reference
from ulzoo.metrics.sinks import Gaussian, SetHash, Table
from ulzoo.metrics.streams import Stream


@dataclass(frozen=True)
class FrechetPlan:
    """Which distance.

    Attributes:
        name: of the record.
        found: what is measured.
        reference: what it is measured against: images, or the path of a file of their statistics.
        words: what that is, for the protocol.
        network: gives values of a batch.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        layer: which of the network's values.
        more: what else the protocol says.
    """

    name: str
    found: Stream
    reference: Stream | str
    words: str
    network: Any
    resamples: int
    seed: int
    layer: str = "pool"
    more: Mapping[str, Any] = field(default_factory=dict)


def frechet_measure(plan: FrechetPlan) -> Measure:
    """A metric of one record, in squared units of the features."""
    moments = Request(plan.found, Gaussian(plan.layer), plan.network)
    table = Request(plan.found, Table(plan.layer), plan.network)
    against: tuple[Request, ...] = ()
    if not isinstance(plan.reference, str):
        against = (
            Request(plan.reference, Gaussian(plan.layer), plan.network),
            Request(plan.reference, SetHash()),
        )
    tables = (table,) if plan.resamples >= 2 else ()

    def finish(evaluation: Evaluation, collected: Collection) -> list[Record]:
        found = collected[moments]
        if isinstance(plan.reference, str):
            file = read_reference(plan.reference)
            real, told = file.moments, file.protocol()
        else:
            real, told = collected[against[0]], reference_of(plan.words, collected[against[1]])
        value = distance(found, real)
        deviation = None
        if tables:
            deviation = bootstrap_deviation(collected[table], real, resamples=plan.resamples, seed=plan.seed)
        protocol = {
            **evaluation.protocol,
            **collected.protocols[plan.found],
            **plan.more,
            "seed": plan.seed,
            "images": found.count,
            "reference": told,
            "features": {**plan.network.protocol(), "dimensions": len(found.mean)},
            "interval": f"95 %, normal, {plan.resamples} bootstrap resamples; the reference is fixed"
            if tables
            else "none",
        }
        interval = normal_interval(value, deviation)
        return [Record(plan.name, value, "squared feature", protocol, interval)]

    return Measure((moments, *tables, *against), finish)


def check_file(path: str, dimensions: int) -> None:
    """Raises InterfaceError for a `reference` that is no file of statistics of so many features."""
    try:
        check_reference(path, dimensions)
    except DataError as error:
        raise InterfaceError(str(error), "reference") from error


def reference_of(words: str, hashed: tuple[str, int]) -> dict[str, Any]:
    """What a protocol says of the images that a number is measured against."""
    return {"of": words, "sha256": hashed[0], "images": hashed[1]}
