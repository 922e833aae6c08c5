"""A classifier by nearest neighbours on principal components: nothing to train, nothing random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ulzoo.errors import DataError
from ulzoo.metrics.features import PCA, fit_pca


@dataclass(frozen=True)
class Neighbours:
    """The class with the largest sum of inverse distances among the nearest training images.

    Attributes:
        labels: (n,) classes of the training images.
        k: how many neighbours vote.
    """

    pca: PCA
    tree: cKDTree
    labels: np.ndarray
    k: int

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 (m, …) → classes (m,)."""
        distances, nearest = self.tree.query(self.pca(images), self.k)
        # `query` drops the axis of neighbours when one is asked for.
        shape = (len(images), self.k)
        # A copy of a training image has that image's class, with a weight that stays finite.
        weights = 1 / np.maximum(distances.reshape(shape), 1e-12)
        votes = np.zeros((len(images), int(self.labels.max()) + 1))
        np.add.at(votes, (np.arange(len(images))[:, None], self.labels[nearest.reshape(shape)]), weights)
        return votes.argmax(1)


def fit_neighbours(images: np.ndarray, labels: np.ndarray, *, components: int, neighbours: int) -> Neighbours:
    """Index uint8 images (n, …) with labels (n,).

    Raises:
        DataError: the images span fewer than `components` dimensions, or are fewer than `neighbours`.
    """
    if neighbours > len(images):
        raise DataError(f"{neighbours} neighbours asked of {len(images)} images")
    pca = fit_pca(images, components)
    return Neighbours(pca=pca, tree=cKDTree(pca(images)), labels=labels, k=neighbours)
