"""What a metric is given and what it gives.

A metric is a registered pydantic class (`ulzoo.metric` entry point) with `stage` (1 or 2: which programs it
needs) and `build(io, *, key)`, giving a function of an `Evaluation` to a list of `Record`s. A metric sees
what a user would see: uint8 images, channels last, as they would be saved as PNG.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ulzoo.data.source import Split
from ulzoo.errors import UlzooError
from ulzoo.spec.component import Component

if TYPE_CHECKING:
    from ulzoo.metrics.collecting import Collection, Request

Images = np.ndarray
"""uint8 (N, *space, C)."""


@dataclass(frozen=True)
class Record:
    """One measured number with everything that is needed to read it.

    Attributes:
        name: `stage<n>/<split>/<metric>`.
        value: finite.
        unit: such as "bits/pixel"; "1" for ratios.
        protocol: how it was measured; two numbers may be compared when their protocols agree.
        interval: 95 % confidence interval, or None.
        extra: further numbers, such as a split of the value.

    Raises:
        UlzooError: a number in it is not finite, as after training that went astray.
    """

    name: str
    value: float
    unit: str
    protocol: Mapping[str, Any]
    interval: tuple[float, float] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for place, number in _numbers(self.as_dict(), ""):
            if not math.isfinite(number):
                raise UlzooError(f"{self.name}: {place} is {number}; no such number is recorded")

    def as_dict(self) -> dict[str, Any]:
        """Plain data: str, float, int, bool, None, lists and dicts."""
        return {
            "name": self.name,
            "value": float(self.value),
            "unit": self.unit,
            "interval": plain(self.interval),
            "protocol": plain(self.protocol),
            "extra": plain(self.extra),
        }

    def to_json(self) -> str:
        """One line of JSON, without a line break at its end."""
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """NumPy arrays and scalars, tuples and mappings as the types of JSON.

    Raises:
        TypeError: a value of any other type.
    """
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"a record cannot hold {type(value).__name__}: {value!r}")


def _numbers(value: Any, place: str) -> list[tuple[str, float]]:
    if isinstance(value, dict):
        return [
            found for name, part in value.items() for found in _numbers(part, f"{place}.{name}".strip("."))
        ]
    if isinstance(value, list):
        return [found for index, part in enumerate(value) for found in _numbers(part, f"{place}.{index}")]
    return [(place, value)] if isinstance(value, float) else []


@dataclass(frozen=True)
class RateTable:
    """Rates of n images at k times each, in nats.

    Attributes:
        nats: (n, k) one-sample estimates of an image's rate, unbiased over its times.
        log_snr: (n, k) the levels.
        diffusion: (n, k) the part of `nats` that belongs to the level; the rest has none.
        maps: (n, *latent space) nats per latent position, mean over times.
    """

    nats: np.ndarray
    log_snr: np.ndarray
    diffusion: np.ndarray
    maps: np.ndarray


def joined(passes: Sequence[tuple[RateTable, np.ndarray]]) -> RateTable:
    """Rates of the same images, measured several times: their times follow each other.

    Args:
        passes: tables, and the places of their images, rising; images that some pass has not, because a
            record was damaged there, are left out.
    """
    shared = reduce(np.intersect1d, [places for _, places in passes])
    rows = [np.searchsorted(places, shared) for _, places in passes]

    def of(part: str) -> list[np.ndarray]:
        return [getattr(table, part)[chosen] for (table, _), chosen in zip(passes, rows, strict=True)]

    nats, log_snr, diffusion = (np.concatenate(of(part), axis=1) for part in ("nats", "log_snr", "diffusion"))
    return RateTable(nats, log_snr, diffusion, np.mean(of("maps"), axis=0))


class Evaluation(Protocol):
    """A trained stage, seen from the metrics.

    Every method is a function of its arguments: the same call gives the same arrays.

    Attributes:
        stage: 1 (rates, reconstructions) or 2 (samples too).
        protocol: what all numbers share: spec hash, EMA, dtype, hardware, …
        pixels: H·W of the data (T·H·W for video).
        latent_shape: (c, *latent space).
        is_bound: whether the prior's rate is an upper bound (`AbstractPrior.is_bound`).
    """

    @property
    def stage(self) -> int: ...

    @property
    def protocol(self) -> Mapping[str, Any]: ...

    @property
    def pixels(self) -> int: ...

    @property
    def latent_shape(self) -> tuple[int, ...]: ...

    @property
    def is_bound(self) -> bool: ...

    def images(self, split: Split, limit: int | None = None) -> tuple[Images, np.ndarray | None]:
        """Real images (n, *space, C) and labels int32 (n,), None without labels; at most `limit`, spread
        evenly."""

    def rates(self, split: Split, limit: int | None, times: int, seed: int, draws: int = 0) -> RateTable:
        """Rates of the images that `images(split, limit)` gives, `times` stratified times each.

        `draws`: above 0, of so many draws of each image as training makes them; their times follow each
        other.
        """

    def reconstructions(
        self, split: Split, limit: int | None, seed: int, sampler: Component | None
    ) -> tuple[Images, Images, Mapping[str, Any]]:
        """Originals, their reconstructions, and the protocol of these (sampler, steps).

        `sampler`: configuration of the decoder's sampler; None takes the one of the spec.
        """

    def samples(self, count: int, seed: int) -> tuple[Images, np.ndarray | None, Mapping[str, Any]]:
        """Samples, the labels int32 (count,) they were asked for, None without labels, and their protocol.

        Labels are balanced: class counts differ by one at most.
        """

    def collect(self, requests: Sequence[Request]) -> Collection:
        """What is kept of streams of images that need not fit into memory (`ulzoo.metrics.collecting`); one
        pass over each stream, and none over what was asked for before."""

    def predictions(
        self, split: Split, limit: int | None, given: int, seed: int
    ) -> tuple[Images, Images, Mapping[str, Any]]:
        """Clips, what a base model that takes given frames makes of the first `given` frames of each (whole
        clips, the given frames included), and the protocol.

        Raises:
            RunError: the base model takes no frames.
        """


Metric = Callable[[Evaluation], list[Record]]
"""What a metric's `build` gives."""
