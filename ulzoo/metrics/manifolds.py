"""Sets of features as unions of balls that reach to each point's k-th neighbour.

Source: Kynkäänniemi et al. 1904.06991, §2; Naeem et al. 2002.09797, §3.
Distances are of float64 and taken a block at a time: no table of all pairs is held.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 1024


def radii(points: np.ndarray, k: int) -> np.ndarray:
    """(n,) distance of each of the points (n, d) to its k-th nearest other one; k < n."""
    found = np.empty(len(points))
    for part, distances in _distances(points, points):
        # The point itself comes first.
        found[part] = np.partition(distances, k, axis=1)[:, k]
    return found


def inside_any(points: np.ndarray, centres: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """(n,) bool: whether each point lies in the ball of some centre, its surface included."""
    found = np.empty(len(points), bool)
    for part, distances in _distances(points, centres):
        found[part] = (distances <= radius).any(1)
    return found


def balls_around(points: np.ndarray, centres: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """(n,) how many balls each point lies in, their surfaces not included."""
    found = np.empty(len(points))
    for part, distances in _distances(points, centres):
        found[part] = (distances < radius).sum(1)
    return found


def reached(points: np.ndarray, centres: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """(m,) bool: whether the ball of each centre holds a point, its surface not included."""
    found = np.empty(len(centres), bool)
    for part, distances in _distances(centres, points):
        found[part] = distances.min(1) < radius[part]
    return found


def _distances(rows: np.ndarray, columns: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows, and their distances to all columns."""
    squares = np.concatenate([np.square(part.astype(np.float64)).sum(1) for part in _blocks(columns)])
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        block = rows[part].astype(np.float64)
        products = np.concatenate([block @ other.astype(np.float64).T for other in _blocks(columns)], 1)
        squared = np.square(block).sum(1)[:, None] + squares - 2 * products
        yield part, np.sqrt(np.maximum(squared, 0))


def _blocks(points: np.ndarray) -> Iterator[np.ndarray]:
    return (points[start : start + BLOCK] for start in range(0, len(points), BLOCK))
