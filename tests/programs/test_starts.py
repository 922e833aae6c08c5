"""Quasi-random starts: standard normal, one series whatever the batches, and more even than chance."""

import numpy as np
from numpy.testing import assert_array_equal
from scipy import stats

from ulzoo.programs.starts import SobolStarts

SHAPE = (2, 2, 4)


def test_each_start_is_standard_normal():
    # The first point of 400 scramblings: independent draws, so the usual test applies.
    first = np.stack([SobolStarts(SHAPE, seed).next(None, 1)[0] for seed in range(400)])
    assert first.shape == (400, *SHAPE)
    assert first.dtype == np.float32
    worst = min(stats.kstest(column, "norm").pvalue for column in first.reshape(400, -1).T)
    # The smallest of 16 p-values, at 1 in 1000 for all of them together.
    assert worst > 0.001 / 16


def test_batches_do_not_matter_but_labels_and_seeds_do():
    labels = np.arange(30, dtype=np.int32) % 3
    whole = SobolStarts(SHAPE, 5).next(labels, 30)
    parts = SobolStarts(SHAPE, 5)
    assert_array_equal(np.concatenate([parts.next(labels[:7], 7), parts.next(labels[7:], 23)]), whole)
    # The n-th of a class is the same in whatever company.
    alone = SobolStarts(SHAPE, 5).next(np.full(10, 2), 10)
    assert_array_equal(whole[labels == 2], alone)
    assert not np.array_equal(whole[0], whole[1])
    assert not np.array_equal(whole, SobolStarts(SHAPE, 6).next(labels, 30))


def test_means_and_covariances_vary_less_than_those_of_independent_draws():
    def spread(sets):
        flat = np.stack([one.reshape(len(one), -1) for one in sets])
        means = flat.mean(1)
        variances = flat.var(1)
        products = np.stack([np.cov(one.T)[np.triu_indices(16, 1)] for one in flat])
        return [np.sqrt(np.mean(part**2)) for part in (means, variances - 1, products)]

    rng = np.random.default_rng(0)
    sobol = spread([SobolStarts(SHAPE, seed).next(None, 128) for seed in range(20)])
    chance = spread([rng.standard_normal((128, *SHAPE)) for _ in range(20)])
    # Chance: 1/√128, √2/√128 and 1/√128.
    np.testing.assert_allclose(chance, np.array([1, 2**0.5, 1]) / 128**0.5, rtol=0.2)
    assert sobol[0] < chance[0] / 5
    assert sobol[1] < chance[1] / 2
    assert sobol[2] < chance[2]
