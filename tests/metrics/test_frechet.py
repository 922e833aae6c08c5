"""The Fréchet distance and its features against closed forms and independent references."""

from __future__ import annotations

import numpy as np
import pytest
from fake_evaluation import FakeEvaluation
from scipy.linalg import sqrtm
from scipy.stats import ortho_group

from ulzoo.errors import DataError, InterfaceError
from ulzoo.interfaces import DataIO
from ulzoo.metrics.features import fit_pca
from ulzoo.metrics.frechet import fit_gaussian, frechet_distance
from ulzoo.metrics.pca_frechet import PCAFrechetConfig
from ulzoo.metrics.prior_pca_frechet import PriorPCAFrechetConfig

RNG = np.random.default_rng(0)


def covariance(k, rank=None):
    factor = np.random.default_rng(k).normal(size=(k, rank or k + 2))
    return factor @ factor.T


def test_commuting_covariances_in_closed_form():
    turn = ortho_group.rvs(4, random_state=0)
    one, other = np.array([4.0, 1.0, 9.0, 0.25]), np.array([1.0, 1.0, 0.0, 16.0])
    shift = np.array([1.0, 0.0, -2.0, 0.5])
    distance = frechet_distance(np.zeros(4), turn * one @ turn.T, shift, turn * other @ turn.T)
    want = (shift**2).sum() + ((np.sqrt(one) - np.sqrt(other)) ** 2).sum()
    # A null eigenvalue comes out as about 1e-16, its root as 1e-8.
    assert distance == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("k", [1, 3, 12])
def test_full_rank_against_the_matrix_root(k):
    one, other = covariance(k), covariance(k).T + np.eye(k) * np.arange(1, k + 1)
    mean = np.arange(k, dtype=float)
    want = mean @ mean + np.trace(one + other - 2 * np.real(sqrtm(one @ other)))
    # Double precision through two different decompositions of well-conditioned matrices.
    assert frechet_distance(mean, one, np.zeros(k), other) == pytest.approx(want, rel=1e-8, abs=1e-8)


def test_rank_deficient_in_closed_form():
    u, v = np.array([1.0, 0, 0, 0, 0]), np.array([0.6, 0.8, 0, 0, 0])
    distance = frechet_distance(np.zeros(5), 4 * np.outer(u, u), np.zeros(5), 9 * np.outer(v, v))
    # tr (C^½ C' C^½)^½ = 2 · 3 · |u·v| for rank one; roots of rounding noise (1e-16) are 1e-8.
    assert distance == pytest.approx(4 + 9 - 2 * 2 * 3 * 0.6, abs=1e-6)


def test_zero_between_equals_and_symmetric():
    one, other, zero = covariance(20, rank=5), covariance(20), np.zeros(20)
    # Relative to a trace of about 400; roots of rounding noise are 1e-8 of it each.
    assert frechet_distance(zero, one, zero, one) == pytest.approx(0, abs=1e-4)
    assert frechet_distance(zero, one, zero, other) == pytest.approx(
        frechet_distance(zero, other, zero, one), rel=1e-6
    )


def test_gaussian_fit():
    points = RNG.normal(size=(50, 3))
    mean, matrix = fit_gaussian(points)
    np.testing.assert_allclose(mean, points.sum(0) / 50, atol=1e-12)
    centred = points - points.sum(0) / 50
    np.testing.assert_allclose(matrix, centred.T @ centred / 49, atol=1e-12)
    with pytest.raises(ValueError, match="two points"):
        fit_gaussian(points[:1])


# ---- principal components ----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 3, 4, 1), (10, 4, 4, 3), (6, 2, 3, 3, 1)])
def test_pca_against_the_singular_value_decomposition(shape):
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    points = images.reshape(shape[0], -1) / 255
    _, singular, rows = np.linalg.svd(points - points.mean(0), full_matrices=False)
    pca = fit_pca(images, 4)
    # Signs of axes are free: compare the projectors.
    np.testing.assert_allclose(pca.axes @ pca.axes.T, rows[:4].T @ rows[:4], atol=1e-9)
    np.testing.assert_allclose(pca(images).var(0), singular[:4] ** 2 / shape[0], atol=1e-12)
    np.testing.assert_allclose(pca.explained, (singular[:4] ** 2).sum() / (singular**2).sum())


@pytest.mark.parametrize("count", [5, 100])
def test_pca_of_too_few_dimensions(count):
    flatland = np.zeros((count, 4, 4, 1), np.uint8)
    flatland[:, 0, 0, 0] = np.arange(count)
    flatland[:, 1, 0, 0] = np.arange(count) % 3
    fit_pca(flatland, 2)
    with pytest.raises(
        DataError, match=f"3 principal components asked of {count} training images that span 2 dim"
    ):
        fit_pca(flatland, 3)


# ---- the metric --------------------------------------------------------------------------------


def normal_images(count, mean, deviation, seed):
    """Images of four independent Gaussian pixels."""
    values = np.random.default_rng(seed).normal(mean, deviation, (count, 2, 2, 1))
    return np.rint(values).clip(0, 255).astype(np.uint8)


def test_metric_in_closed_form():
    mean, deviation = np.array([[[60], [100]], [[140], [180]]]), np.array([[[20], [16]], [[12], [8]]])
    evaluation = FakeEvaluation(
        train=(normal_images(20_000, mean, deviation, 0), None),
        heldout=(normal_images(20_000, mean, deviation, 1), None),
        drawn=(normal_images(20_000, mean + 10, deviation * 1.25, 2), None),
    )
    config = PCAFrechetConfig(components=4, count=20_000, train_count=None, real_count=None, seed=5)
    (record,) = config.build(DataIO((1, 2, 2)))(evaluation)
    assert record.name == "stage2/heldout/pca_frechet"
    want = (4 * 10**2 + (0.25 * deviation.ravel() @ (0.25 * deviation.ravel()))) / 255**2
    # 20,000 images: the means are known to 20/√20000 = 0.14 of a shift of 10, squared 3 %.
    assert record.value == pytest.approx(want, rel=0.03)
    # To first order the means' part is Σδ², of variance Σ(2δ)²s²/n, the deviations' Σ(s − σ)², of variance
    # Σ(2(s − σ))²s²/2n; the deviation of 200 resamples is known to 1/√400.
    s, n = 1.25 * deviation.ravel(), 20_000
    spread = np.sqrt((20**2 * s**2 / n + (2 * 0.25 * deviation.ravel()) ** 2 * s**2 / (2 * n)).sum()) / 255**2
    low, high = record.interval
    assert (low + high) / 2 == pytest.approx(record.value)
    assert (high - low) / 2 == pytest.approx(1.96 * spread, rel=0.15)
    # Two samples of one distribution: the bias is about Σσ²(1/n + 1/n')·(1 + ¼) in means and deviations.
    bias = (deviation**2).sum() * 1.25 * 1e-4 / 255**2
    assert 0 < record.extra["train_distance"] < 4 * bias
    assert record.extra["ratio"] == pytest.approx(record.value / record.extra["train_distance"])
    assert record.extra["explained_variance"] == pytest.approx(1)
    assert ("samples", 20_000, 5) in evaluation.calls
    assert record.protocol["comparable"] == "only within this protocol; not an FID"
    assert (record.protocol["samples"], record.protocol["sampler"]) == (20_000, "fake")


def test_limits_and_the_training_split():
    images = RNG.integers(0, 256, (50, 2, 2, 1), dtype=np.uint8)
    evaluation = FakeEvaluation(train=(images, None), heldout=(images, None), drawn=(images, None))
    config = PCAFrechetConfig(components=3, count=30, train_count=20, real_count=25, split="train")
    (record,) = config.build()(evaluation)
    assert record.name == "stage2/train/pca_frechet"
    counts = [record.protocol[name] for name in ("samples", "real_images", "train_images")]
    assert counts == [30, 25, 20]
    assert record.extra["ratio"] is None


def test_samples_of_the_prior_are_a_number_of_stage_1():
    images = RNG.integers(0, 256, (50, 2, 2, 1), dtype=np.uint8)
    evaluation = FakeEvaluation(
        train=(images, None), heldout=(images, None), drawn=(images[:30], None), stage=1
    )
    fields = {"components": 3, "count": 30}
    (record,) = PriorPCAFrechetConfig(**fields).build(DataIO((1, 2, 2)))(evaluation)
    (same,) = PCAFrechetConfig(**fields).build()(evaluation)
    assert record.name == "stage1/heldout/prior_pca_frechet"
    assert record.value == same.value
    with pytest.raises(InterfaceError, match="5 components"):
        PriorPCAFrechetConfig(components=5).build(DataIO((1, 2, 2)))


def test_more_components_than_values_is_found_before_running():
    with pytest.raises(InterfaceError, match="components: 5 components of images with 4 values"):
        PCAFrechetConfig(components=5).build(DataIO((1, 2, 2)))
