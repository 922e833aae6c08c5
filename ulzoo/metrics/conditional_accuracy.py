"""Do samples show what was asked for? Judged by a classifier that knows real images only."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ulzoo.errors import DataError, InterfaceError
from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Evaluation, Metric, Record


class ConditionalAccuracyConfig(Component):
    """Share of samples that a nearest-neighbour classifier of real training images gives the class asked
    for."""

    type: Literal["ulzoo.conditional_accuracy.v1"] = "ulzoo.conditional_accuracy.v1"
    stage: ClassVar[int] = 2
    of_classes: ClassVar[bool] = True

    count: int = Field(default=1000, gt=0)
    """Samples."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the samples."""

    components: int = Field(default=20, gt=0)
    """Principal components in which neighbours are near."""

    neighbours: int = Field(default=3, gt=0)
    """Training images that vote, weighted by inverse distance."""

    train_count: int | None = Field(default=10_000, ge=2)
    """At most this many training images, spread evenly; null for all. They are held in memory, 8 bytes a
    value."""

    heldout_count: int | None = Field(default=10_000, gt=0)
    """At most this many held-out images to measure the classifier itself; null for all."""

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record.

        Raises:
            InterfaceError: data without labels, or more components than an image has values.
        """
        if io is not None and io.num_classes is None:
            raise InterfaceError("conditional accuracy needs data with labels; this dataset has none")
        if io is not None and self.components > math.prod(io.shape):
            raise InterfaceError(
                f"{self.components} components of images with {math.prod(io.shape)} values {io.shape}",
                "components",
            )
        return partial(measure, self)


def measure(config: ConditionalAccuracyConfig, evaluation: Evaluation) -> list[Record]:
    """One record, `stage2/train/conditional_accuracy` (the split is what the classifier was fitted to), a
    share.

    The protocol carries the classifier's own accuracy on held-out images, which bounds what the number can
    tell; `extra` the accuracy by class, None for a class that was not sampled.

    Raises:
        DataError: images or samples have no labels.
    """
    import numpy as np
    from scipy.stats import binomtest

    from ulzoo.metrics.base import Record
    from ulzoo.metrics.neighbours import fit_neighbours

    train, train_labels = evaluation.images("train", config.train_count)
    heldout, heldout_labels = evaluation.images("heldout", config.heldout_count)
    samples, wanted, how = evaluation.samples(config.count, config.seed)
    if train_labels is None or heldout_labels is None or wanted is None:
        raise DataError("conditional accuracy needs labels of the data and of the samples")
    classify = fit_neighbours(train, train_labels, components=config.components, neighbours=config.neighbours)
    own_accuracy = float((classify(heldout) == heldout_labels).mean())
    right = classify(samples) == wanted
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(0.95, method="wilson")
    protocol = {
        **evaluation.protocol,
        **how,
        "samples": len(samples),
        "seed": config.seed,
        "classifier": f"{config.neighbours} nearest neighbours by inverse distance, "
        f"{config.components} principal components of the training images",
        "classifier_train_images": len(train),
        "classifier_heldout_images": len(heldout),
        "classifier_heldout_accuracy": own_accuracy,
        "interval": "95 %, Wilson",
    }
    by_class = [
        float(right[wanted == label].mean()) if (wanted == label).any() else None
        for label in range(int(max(np.max(wanted), np.max(train_labels))) + 1)
    ]
    name = "stage2/train/conditional_accuracy"
    bounds = (float(interval.low), float(interval.high))
    return [Record(name, float(right.mean()), "1", protocol, bounds, {"by_class": by_class})]
