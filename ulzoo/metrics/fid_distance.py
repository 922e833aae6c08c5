"""From moments of features to a Fréchet distance with its interval and its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import linalg

from ulzoo.errors import DataError
from ulzoo.metrics.frechet import frechet_distance, root

if TYPE_CHECKING:
    from ulzoo.metrics.sinks import Moments

CHUNK = 4096
"""Rows of a table in memory at a time."""


def distance(found: Moments, reference: Moments) -> float:
    """Between the Gaussians of two sets of features; of a reference whose `count` is 0 it is not known.

    Raises:
        DataError: a set of fewer than two images, or features of different lengths.
    """
    if len(found.mean) != len(reference.mean):
        raise DataError(f"{len(found.mean)} features do not compare with statistics of {len(reference.mean)}")
    if found.count < 2 or reference.count == 1:
        raise DataError(
            f"a Fréchet distance needs two images of each set, got {found.count} and {reference.count}"
        )
    return frechet_distance(found.mean, found.covariance, reference.mean, reference.covariance)


def bootstrap_deviation(table: np.ndarray, reference: Moments, *, resamples: int, seed: int) -> float:
    """Standard deviation of the distance over sets of rows drawn with replacement; the reference stays.

    A resample holds fewer different images and so lies further away by a bias; its deviation is what is used,
    not its quantiles.
    """
    rng = np.random.default_rng([seed, 0xB007])
    other = root(reference.covariance)
    found = []
    for _ in range(resamples):
        counts = np.bincount(rng.integers(0, len(table), len(table)), minlength=len(table))
        mean, covariance = _weighted(table, counts)
        values = linalg.eigvalsh(other @ covariance @ other)
        overlap = np.sqrt(np.clip(values, 0, None)).sum()
        shift = np.square(mean - reference.mean).sum()
        found.append(shift + np.trace(covariance) + np.trace(reference.covariance) - 2 * overlap)
    return float(np.std(found, ddof=1))


def _weighted(table: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased covariance of rows that count several times, a part of the table at a time."""
    total = counts.sum()
    mean = np.zeros(table.shape[1])
    for rows, weight in _parts(table, counts):
        mean += weight @ rows
    mean /= total
    scatter = np.zeros((len(mean), len(mean)))
    for rows, weight in _parts(table, counts):
        centred = (rows - mean) * np.sqrt(weight)[:, None]
        scatter += centred.T @ centred
    return mean, scatter / (total - 1)


def _parts(table: np.ndarray, counts: np.ndarray) -> Any:
    for start in range(0, len(table), CHUNK):
        part = slice(start, start + CHUNK)
        yield table[part].astype(np.float64), counts[part].astype(np.float64)


def normal_interval(value: float, deviation: float | None) -> tuple[float, float] | None:
    """95 % around a value; None without a deviation."""
    return None if deviation is None else (value - 1.96 * deviation, value + 1.96 * deviation)
