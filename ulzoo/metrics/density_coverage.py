"""Density and coverage of samples: Naeem et al. 2002.09797."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.metrics.inception_features import InceptionFeatures, write_random_inception
from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    import numpy as np

    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Metric


class DensityCoverageConfig(Component):
    """How many real images' neighbourhoods a sample lies in (density), and the share of real images with a
    sample in their neighbourhood (coverage), on the features of the Inception network."""

    type: Literal["ulzoo.density_coverage.v1"] = "ulzoo.density_coverage.v1"
    stage: ClassVar[int] = 2
    example: ClassVar = {"features": {"weights": "inception.pth"}, "count": 24, "real_count": 24}

    features: InceptionFeatures
    """The network, its weights, and how images are resized for it."""

    split: Literal["train", "heldout"] = "train"
    """The real images that samples are compared with."""

    count: int = Field(default=10_000, ge=2)
    """Samples; their features are kept on disk while measuring, 8 kB each."""

    real_count: int | None = Field(default=10_000, ge=2)
    """At most this many real images of the split, spread evenly; null for all. Both measures change with both
    numbers."""

    neighbours: int = Field(default=5, ge=1, le=100)
    """A real image's ball reaches to this neighbour."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the samples and the bootstrap."""

    @classmethod
    def example_files(cls, folder: Path) -> Mapping[str, Any]:
        """A small network with random weights."""
        return {"features": {"weights": write_random_inception(folder)}}

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to two records.

        Raises:
            InterfaceError: data that are no images, or a file that does not hold the network.
        """
        from ulzoo.metrics.manifold_metric import manifold_measure

        self.features.check(io)
        return manifold_measure(self, density_coverage)


def density_coverage(samples: np.ndarray, real: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """By name one value for each image that its mean is over."""
    from ulzoo.metrics.manifolds import balls_around, radii, reached

    radius = radii(real, k)
    return {"density": balls_around(samples, real, radius) / k, "coverage": reached(samples, real, radius)}
