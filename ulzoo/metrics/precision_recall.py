"""Precision and recall of samples: Kynkäänniemi et al. 1904.06991."""

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


class PrecisionRecallConfig(Component):
    """Share of samples among the real images (precision), and of real images among the samples (recall), on
    the features of the Inception network."""

    type: Literal["ulzoo.precision_recall.v1"] = "ulzoo.precision_recall.v1"
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

    neighbours: int = Field(default=3, ge=1, le=100)
    """An image's ball reaches to this neighbour."""

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
        return manifold_measure(self, precision_recall)


def precision_recall(samples: np.ndarray, real: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """By name one value for each image that its mean is over."""
    from ulzoo.metrics.manifolds import inside_any, radii

    return {
        "precision": inside_any(samples, real, radii(real, k)),
        "recall": inside_any(real, samples, radii(samples, k)),
    }
