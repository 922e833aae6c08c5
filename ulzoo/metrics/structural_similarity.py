"""Structural similarity of images: Wang et al. 2004. NumPy, float64."""

from __future__ import annotations

import numpy as np

PEAK = 255.0
_C1, _C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


def structural_similarity(x: np.ndarray, y: np.ndarray, *, window: int, sigma: float) -> np.ndarray:
    """(n,) mean over places and channels of the similarity of uint8 images (n, h, w, c) twice.

    Means, variances and the covariance are weighted by a Gaussian window and taken where all of the window
    lies inside the image; channels are compared apart.
    """
    kernel = np.exp(-0.5 * np.square((np.arange(window) - (window - 1) / 2) / sigma))
    kernel /= kernel.sum()
    found = np.empty(len(x))
    # One image at a time: products of float64 copies of a whole batch would be large.
    for row, pair in enumerate(zip(x, y, strict=True)):
        a, b = (image.astype(np.float64) for image in pair)
        mean_a, mean_b = _weighted(a, kernel), _weighted(b, kernel)
        var_a = _weighted(a * a, kernel) - mean_a**2
        var_b = _weighted(b * b, kernel) - mean_b**2
        both = _weighted(a * b, kernel) - mean_a * mean_b
        above = (2 * mean_a * mean_b + _C1) * (2 * both + _C2)
        below = (mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2)
        found[row] = (above / below).mean()
    return found


def frame_similarity(x: np.ndarray, y: np.ndarray, *, window: int, sigma: float) -> np.ndarray:
    """(n, t): the similarity of each frame of uint8 clips (n, t, h, w, c) twice."""
    flat = (clips.reshape(-1, *clips.shape[2:]) for clips in (x, y))
    return structural_similarity(*flat, window=window, sigma=sigma).reshape(x.shape[:2])


def _weighted(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Weighted means along height and width, where the window fits: (h, w, c) → (h', w', c)."""
    for axis in (0, 1):
        values = np.lib.stride_tricks.sliding_window_view(values, len(kernel), axis) @ kernel
    return values
