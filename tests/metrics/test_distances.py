"""Kernel distance, density and coverage, bootstrap: closed forms and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from ulzoo.metrics.density_coverage import density_coverage
from ulzoo.metrics.fid_distance import bootstrap_deviation, distance
from ulzoo.metrics.kid import squared_mmd
from ulzoo.metrics.precision_recall import precision_recall
from ulzoo.metrics.sinks import ClassScores, Moments

RNG = np.random.default_rng(0)


def brute(samples, real, k):
    """Naeem et al. 2002.09797, eqs. 3 to 6, word by word."""

    def gap(a, b):
        return float(np.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True))))

    def radius(points, i):
        return sorted(gap(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    real_radius = [radius(real, i) for i in range(len(real))]
    sample_radius = [radius(samples, i) for i in range(len(samples))]
    holds = [[gap(x, y) < r for x, r in zip(real, real_radius, strict=True)] for y in samples]
    density = sum(map(sum, holds)) / (k * len(samples))
    coverage = sum(any(row[i] for row in holds) for i in range(len(real))) / len(real)
    precision = np.mean([any(row) for row in holds])
    recall = np.mean([any(gap(x, y) <= r for y, r in zip(samples, sample_radius, strict=True)) for x in real])
    return {"density": density, "coverage": coverage, "precision": precision, "recall": recall}


@pytest.mark.parametrize("k", [1, 4])
def test_density_coverage_precision_and_recall_by_brute_force(k, monkeypatch):
    # Several blocks, the last one smaller.
    monkeypatch.setattr("ulzoo.metrics.manifolds.BLOCK", 16)
    samples, real = RNG.standard_normal((41, 3)), 1.3 * RNG.standard_normal((50, 3)) + 0.3
    found = {**density_coverage(samples, real, k), **precision_recall(samples, real, k)}
    assert {name: values.mean() for name, values in found.items()} == pytest.approx(brute(samples, real, k))


def test_kernel_distance_is_unbiased():
    """Over many pairs of sets of one distribution its mean is nothing."""
    found = [squared_mmd(RNG.standard_normal((20, 8)), RNG.standard_normal((20, 8))) for _ in range(400)]
    assert abs(np.mean(found)) < 4 * np.std(found) / 20


def test_kernel_distance_of_two_points():
    x, y = np.array([[1.0, 0], [0, 2]]), np.array([[1.0, 1], [0, 1]])
    # (x·y/2 + 1)³: within x (0)→1, within y (1)→27/8; across 1/2, 0, 1, 1.
    across = (1.5**3 + 1 + 2**3 + 2**3) / 4
    assert squared_mmd(x, y) == pytest.approx(1 + 1.5**3 - 2 * across)


def test_bootstrap_of_a_shift():
    """In one dimension, far apart, the distance is d² + (s − s')²: its deviation is about 2dσ/√n."""
    n, shift = 400, 10.0
    values = RNG.standard_normal((n, 1)).astype(np.float32) + shift
    reference = Moments(1000, np.zeros(1), np.eye(1))
    deviation = bootstrap_deviation(values, reference, resamples=300, seed=0)
    # 300 resamples know a deviation to 1/√600 = 4 %, allowed three times.
    assert deviation == pytest.approx(2 * shift * values.std() / np.sqrt(n), rel=0.12)
    found = Moments(n, values.mean(0).astype(float), np.atleast_2d(values.var(ddof=1)))
    assert distance(found, reference) == pytest.approx(
        values.mean() ** 2 + (values.std(ddof=1) - 1) ** 2, rel=1e-5
    )


def test_inception_score_in_closed_form():
    """k classes, each image sure of one: k. All images alike: 1."""
    sure = np.eye(5)[np.arange(100) % 5] * 1e3
    for logits, want in ((sure, 5.0), (np.tile(RNG.standard_normal(5), (100, 1)), 1.0)):
        keeper = ClassScores("logits", 4).start(100)
        keeper.add(np.arange(100), {"logits": logits})
        np.testing.assert_allclose(keeper.result(), want, rtol=1e-12)
