"""Kernel Inception distance: Bińkowski et al. 1801.01401."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.metrics.inception_features import InceptionFeatures, write_random_inception
from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    import numpy as np

    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Evaluation, Metric, Record
    from ulzoo.metrics.collecting import Collection, Request


class KIDConfig(Component):
    """Kernel distance between samples and real images on the features of the Inception network: unbiased, so
    that few images are enough to compare by."""

    type: Literal["ulzoo.kid.v1"] = "ulzoo.kid.v1"
    stage: ClassVar[int] = 2
    example: ClassVar = {
        **{"features": {"weights": "inception.pth"}, "count": 24},
        **{"real_count": 24, "subset_size": 10},
    }

    features: InceptionFeatures
    """The network, its weights, and how images are resized for it."""

    split: Literal["train", "heldout"] = "train"
    """The real images that samples are compared with."""

    count: int = Field(default=10_000, ge=2)
    """Samples; their features are kept on disk while measuring, 8 kB each."""

    real_count: int | None = Field(default=10_000, ge=2)
    """At most this many real images of the split, spread evenly; null for all."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the samples and the subsets."""

    subsets: int = Field(default=100, ge=1, le=10_000)
    """Pairs of subsets, of samples and of real images, that the distance is the mean over."""

    subset_size: int = Field(default=1000, ge=2, le=10_000)
    """Images of each subset; where there are fewer images, all of them."""

    @classmethod
    def example_files(cls, folder: Path) -> Mapping[str, Any]:
        """A small network with random weights."""
        return {"features": {"weights": write_random_inception(folder)}}

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record.

        Raises:
            InterfaceError: data that are no images, or a file that does not hold the network.
        """
        from ulzoo.metrics.collecting import Measure, Request
        from ulzoo.metrics.sinks import SetHash, Table
        from ulzoo.metrics.streams import Real, Samples

        self.features.check(io)
        real = Real(self.split, self.real_count)
        requests = (
            Request(Samples(self.count, self.seed), Table("pool"), self.features),
            Request(real, Table("pool"), self.features),
            Request(real, SetHash()),
        )
        return Measure(requests, partial(_finish, self, requests))


def _finish(
    config: KIDConfig, requests: tuple[Request, ...], evaluation: Evaluation, collected: Collection
) -> list[Record]:
    """One record, `kid`, the mean over subsets; `extra` has their standard deviation."""
    import numpy as np

    from ulzoo.metrics.base import Record
    from ulzoo.metrics.fid_distance import normal_interval
    from ulzoo.metrics.frechet_metric import reference_of

    samples, real = collected[requests[0]], collected[requests[1]]
    fewer = min(len(samples), len(real))
    size = min(config.subset_size, fewer)
    rng = np.random.default_rng([config.seed, 0x1D])
    found = np.array(
        [
            squared_mmd(*(table[rng.choice(len(table), size, replace=False)] for table in (samples, real)))
            for _ in range(config.subsets)
        ]
    )
    # Delete-d jackknife (Shao & Wu 1989): subsets of m out of n spread √((n − m)/m) times as wide as the
    # estimate of all n. When a subset is everything, it says nothing of the spread.
    spread = size < fewer and config.subsets > 1
    deviation = float(found.std(ddof=1)) * (size / (fewer - size)) ** 0.5 if spread else None
    protocol = {
        **evaluation.protocol,
        **collected.protocols[requests[0].stream],
        "seed": config.seed,
        "images": len(samples),
        "reference": reference_of(f"{config.split} images", collected[requests[2]]),
        "features": {**config.features.protocol(), "dimensions": samples.shape[1]},
        "kernel": "(x·y/d + 1)³, unbiased",
        "subsets": config.subsets,
        "subset_size": size,
        "interval": "95 %, normal, delete-d jackknife over the subsets" if spread else "none",
    }
    value = float(found.mean())
    extra = {"deviation_of_subsets": float(found.std())}
    name = f"stage2/{config.split}/kid"
    return [Record(name, value, "1", protocol, normal_interval(value, deviation), extra)]


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of (n, d) and (n, d) features with the kernel (x·y/d + 1)³
    (1801.01401, eq. 4); may be negative."""
    import numpy as np

    x, y = x.astype(np.float64), y.astype(np.float64)
    n, d = x.shape

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / d + 1) ** 3

    def apart(a: np.ndarray) -> float:
        values = kernel(a, a)
        return float(values.sum() - np.trace(values)) / (n * (n - 1))

    return apart(x) + apart(y) - 2 * float(kernel(x, y).mean())
