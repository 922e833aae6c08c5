"""Fréchet distance between Gaussians (Dowson & Landau 1982), as used by Heusel et al. 2017 for FID."""

from __future__ import annotations

import numpy as np
from scipy import linalg


def frechet_distance(
    mean: np.ndarray, covariance: np.ndarray, other_mean: np.ndarray, other_covariance: np.ndarray
) -> float:
    """‖μ − μ'‖² + tr(C + C' − 2 (C^½ C' C^½)^½), squared units of the features.

    The trace of the root is the nuclear norm of C^½ C'^½: no root of a non-symmetric matrix is taken, so
    covariances of any rank will do.
    """
    shift = float(np.square(mean - other_mean).sum())
    overlap = float(linalg.svdvals(root(covariance) @ root(other_covariance)).sum())
    distance = shift + float(np.trace(covariance) + np.trace(other_covariance)) - 2 * overlap
    return max(distance, 0.0)  # rounding can leave −1e−16 between equal Gaussians


def root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric positive semi-definite square root of one."""
    values, vectors = linalg.eigh(covariance)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def fit_gaussian(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (k,) and unbiased covariance (k, k) of features (n, k), n ≥ 2."""
    if len(features) < 2:
        raise ValueError(f"a covariance needs two points, got {len(features)}")
    return features.mean(0), np.atleast_2d(np.cov(features, rowvar=False))
