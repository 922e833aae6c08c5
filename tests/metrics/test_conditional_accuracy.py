"""The classifier on real digits, and the accuracy of samples whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from fake_evaluation import FakeEvaluation

from ulzoo.data.digits import DigitsConfig
from ulzoo.errors import DataError, InterfaceError
from ulzoo.interfaces import DataIO
from ulzoo.metrics.conditional_accuracy import ConditionalAccuracyConfig
from ulzoo.metrics.neighbours import fit_neighbours


def digits(split):
    source = DigitsConfig(size=16).open(split)
    records = [source[i] for i in range(len(source))]
    return np.stack([record["image"] for record in records]), np.stack(
        [record["label"] for record in records]
    )


@pytest.fixture(scope="module")
def real():
    return {split: digits(split) for split in ("train", "heldout")}


def test_neighbours_against_brute_force():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 2, 3, 1), dtype=np.uint8), rng.integers(0, 4, 60)
    queries = rng.integers(0, 256, (40, 2, 3, 1), dtype=np.uint8)
    # With as many components as values PCA is a rotation: neighbours are those of pixel space.
    distances = np.linalg.norm((images[None].astype(float) - queries[:, None]).reshape(40, 60, 6), axis=-1)
    for k in (1, 5):
        votes = np.zeros((40, 4))
        for query in range(40):
            for neighbour in np.argsort(distances[query])[:k]:
                votes[query, labels[neighbour]] += 1 / distances[query, neighbour]
        classify = fit_neighbours(images, labels, components=6, neighbours=k)
        np.testing.assert_array_equal(classify(queries), votes.argmax(1))
    np.testing.assert_array_equal(classify(images), labels)  # a copy outvotes the rest
    with pytest.raises(DataError, match="61 neighbours asked of 60 images"):
        fit_neighbours(images, labels, components=6, neighbours=61)


def test_accuracy_of_real_digits_as_samples(real):
    images, labels = real["heldout"]
    # A tenth of the samples shows another digit than was asked for.
    wrong = np.arange(len(labels)) % 10 == 0
    wanted = np.where(wrong, (labels + 1) % 10, labels)
    evaluation = FakeEvaluation(train=real["train"], heldout=real["heldout"], drawn=(images, wanted))
    (record,) = ConditionalAccuracyConfig(seed=4).build(DataIO((1, 16, 16), 10))(evaluation)
    assert record.name == "stage2/train/conditional_accuracy"
    own = record.protocol["classifier_heldout_accuracy"]
    # Nearest neighbours make 2 mistakes on these 359 digits (they are deterministic); a broken projection
    # makes many more.
    assert own > 0.98
    # Each of the classifier's own mistakes moves the number by one sample at most.
    assert abs(record.value - (1 - wrong.mean())) <= 1 - own + 1e-9
    assert record.extra["by_class"][0] == pytest.approx(0.9, abs=0.1)
    assert record.protocol["samples"] == len(labels)
    assert ("samples", 1000, 4) in evaluation.calls


def test_wilson_interval(real):
    images, labels = real["train"][0][:100], real["train"][1][:100]
    wanted = np.where(np.arange(100) < 10, (labels + 1) % 10, labels)
    evaluation = FakeEvaluation(train=real["train"], heldout=real["heldout"], drawn=(images, wanted))
    (record,) = ConditionalAccuracyConfig(count=100).build()(evaluation)
    assert record.value == 0.9  # training images are their own nearest neighbours
    # Wilson 1927: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n), here p = 0.9, n = 100, z = 1.959964.
    z, p, n = 1.959964, 0.9, 100
    centre, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert record.interval == pytest.approx(
        [(centre + s * half) / (1 + z * z / n) for s in (-1, 1)], abs=1e-6
    )


def test_classes_that_were_not_sampled(real):
    images, labels = real["train"]
    zeros = labels == 0
    evaluation = FakeEvaluation(
        train=real["train"], heldout=real["heldout"], drawn=(images[zeros], labels[zeros])
    )
    (record,) = ConditionalAccuracyConfig().build()(evaluation)
    assert record.extra["by_class"] == [1.0] + [None] * 9


def test_data_without_labels(real):
    with pytest.raises(InterfaceError, match="needs data with labels"):
        ConditionalAccuracyConfig().build(DataIO((1, 16, 16), None))
    with pytest.raises(InterfaceError, match="components: 20 components"):
        ConditionalAccuracyConfig().build(DataIO((1, 4, 4), 10))
    evaluation = FakeEvaluation(train=real["train"], heldout=real["heldout"], drawn=(real["train"][0], None))
    with pytest.raises(DataError, match="needs labels"):
        ConditionalAccuracyConfig().build()(evaluation)
