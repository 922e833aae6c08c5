"""Principal components of images: a small, deterministic feature space that needs no trained network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ulzoo.errors import DataError


@dataclass(frozen=True)
class PCA:
    """Projection to the leading principal components of some images, pixel values scaled to [0, 1], not
    whitened.

    Attributes:
        mean: (d,) mean image, flattened.
        axes: (d, k) orthonormal columns, by falling variance.
        explained: share of the total variance that the k components hold.
    """

    mean: np.ndarray
    axes: np.ndarray
    explained: float

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 (n, …) → float64 (n, k)."""
        return (flat(images) - self.mean) @ self.axes


def flat(images: np.ndarray) -> np.ndarray:
    """uint8 (n, …) → float64 (n, d) in [0, 1]."""
    return images.reshape(len(images), -1) / 255.0


def fit_pca(images: np.ndarray, components: int) -> PCA:
    """Principal components of uint8 images (n, …).

    Raises:
        DataError: the images span fewer than `components` dimensions.
    """
    points = flat(images)
    n, d = points.shape
    mean = points.mean(0)
    points = points - mean
    # The smaller of the two Gram matrices has the same non-zero eigenvalues.
    wide = d > n
    gram = points @ points.T if wide else points.T @ points
    values, vectors = linalg.eigh(gram)
    # A null direction's eigenvalue is rounding noise of the largest one's size times machine precision.
    rank = int((values > max(n, d) * np.finfo(np.float64).eps * values[-1]).sum())
    if components > rank:
        raise DataError(
            f"{components} principal components asked of {n} training images that span {rank} dimensions"
        )
    values, vectors = values[: -components - 1 : -1], vectors[:, : -components - 1 : -1]
    axes = points.T @ vectors / np.sqrt(values) if wide else vectors
    return PCA(mean=mean, axes=axes, explained=float(values.sum() / np.trace(gram)))
