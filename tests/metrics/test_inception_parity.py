"""The Inception network and what is measured on it, stage by stage, against torch-fidelity on one set of
random weights."""

from __future__ import annotations

import numpy as np
import pytest
from references import torch_fidelity

from ulzoo.metrics.fid_distance import distance
from ulzoo.metrics.kid import squared_mmd
from ulzoo.metrics.networks import readers
from ulzoo.metrics.networks.inception import inception, narrow
from ulzoo.metrics.networks.resizing import bilinear, clean_bicubic
from ulzoo.metrics.precision_recall import precision_recall
from ulzoo.metrics.sinks import ClassScores, Gaussian
from ulzoo.metrics.streams import ImageBatch
from ulzoo.weights.reading import random_tensors

RNG = np.random.default_rng(0)
FEATURES = 1e-4
DISTANCES = 1e-3


def close(found, want, relative):
    """Relative to the size of the whole array: single values may be near zero."""
    want = np.asarray(want)
    assert found.shape == want.shape
    assert np.linalg.norm(found - want) <= relative * np.linalg.norm(want)


@pytest.mark.parametrize("size", [(32, 32), (400, 310), (299, 299), (1, 7)])
def test_resizing(size):
    torch = pytest.importorskip("torch")
    images = RNG.integers(0, 256, (2, *size, 3)).astype(np.float32)
    tensor = torch.tensor(images).permute(0, 3, 1, 2)
    want = torch.nn.functional.interpolate(tensor, (299, 299), mode="bilinear", align_corners=False)
    found = bilinear(images, 299, 299, half_pixel=True)
    close(np.asarray(found), want.permute(0, 2, 3, 1).numpy(), 1e-6)
    like_tensorflow = torch_fidelity("interpolate_compat_tensorflow")
    want = like_tensorflow.interpolate_bilinear_2d_like_tensorflow1x(tensor, (299, 299), align_corners=False)
    found = bilinear(images, 299, 299, half_pixel=False)
    # One lerp in another order of operations: float32 rounding.
    close(np.asarray(found), want.permute(0, 2, 3, 1).numpy(), 1e-6)


def test_clean_resizing_keeps_constants_and_antialiases():
    stripes = np.zeros((1, 598, 598, 1), np.uint8)
    stripes[:, :, ::2] = 200
    small = clean_bicubic(stripes, 299, 299)
    # Each place of the result covers a black and a white column: their mean, up to the edge's cut kernel.
    np.testing.assert_allclose(small[:, :, 4:-4], 100, atol=0.5)
    even = np.full((1, 20, 31, 3), 77, np.uint8)
    np.testing.assert_allclose(clean_bicubic(even, 299, 299), 77, atol=1e-3)


def reference_network(monkeypatch, path, factor):
    """torch-fidelity's network with every width divided by `factor`."""
    torch = pytest.importorskip("torch")
    module = torch_fidelity("feature_extractor_inceptionv3")
    plain, linear = module.BasicConv2d.__init__, torch.nn.Linear

    def thin(self, inputs, outputs, **sizes):
        plain(self, inputs if inputs == 3 else inputs // factor, outputs // factor, **sizes)

    monkeypatch.setattr(module.BasicConv2d, "__init__", thin)
    monkeypatch.setattr(module.nn, "Linear", lambda inputs, outputs: linear(inputs // factor, outputs))
    names = ["2048", "logits_unbiased", "logits"]
    return module.FeatureExtractorInceptionV3("x", names, feature_extractor_weights_path=str(path))


@pytest.mark.parametrize("factor", [16, pytest.param(1, marks=pytest.mark.slow)])
def test_pool_and_logits(factor, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    tensors = random_tensors(inception, narrow(factor))
    path = tmp_path / "inception.pth"
    torch.save({name: torch.tensor(value) for name, value in tensors.items()}, path)
    with torch.no_grad():
        images = RNG.integers(0, 256, (3, 64, 48, 3), dtype=np.uint8)
        network = reference_network(monkeypatch, path, factor)
        want = [part.numpy() for part in network(torch.tensor(images).permute(0, 3, 1, 2))]
    # Images differ: parity is not that of constants.
    assert want[0].std(0).mean() > 1e-3 * np.abs(want[0]).mean()
    found = readers.inception_reader(str(path), "tensorflow", 3)(ImageBatch(np.arange(3), images))
    close(found["pool"], want[0], FEATURES)
    close(found["logits"], want[1], FEATURES)
    spread = want[0] - want[0].mean(0)
    close(found["pool"] - found["pool"].mean(0), spread, 1e-2)


def features(count, shift=0.0):
    """Correlated, non-negative, like those of a network."""
    mixing = np.random.default_rng(1).standard_normal((40, 40))
    return np.maximum(RNG.standard_normal((count, 40)) @ mixing + 2 + shift, 0).astype(np.float32)


def moments(values):
    keeper = Gaussian("pool").start(len(values))
    for start in range(0, len(values), 37):
        rows = np.arange(start, min(start + 37, len(values)))
        keeper.add(rows, {"pool": values[rows]})
    return keeper.result()


def test_statistics_and_distance():
    reference = torch_fidelity("metric_fid")
    torch = pytest.importorskip("torch")
    one, other = features(500), features(400, 0.3)
    statistics = [reference.fid_features_to_statistics(torch.tensor(part)) for part in (one, other)]
    found = [moments(part) for part in (one, other)]
    for ours, theirs in zip(found, statistics, strict=True):
        close(ours.mean, theirs["mu"], 1e-6)
        close(ours.covariance, theirs["sigma"], 1e-6)
    want = next(iter(reference.fid_statistics_to_metric(*statistics, verbose=False).values()))
    assert distance(*found) == pytest.approx(float(want), rel=DISTANCES)


def test_kernel_distance():
    reference = torch_fidelity("metric_kid")
    torch = pytest.importorskip("torch")
    one, other = features(200), features(200, 0.2)
    # One subset of everything: nothing is drawn.
    settings = {"kid_subsets": 1, "kid_subset_size": 200, "rng_seed": 0, "verbose": False}
    settings |= {"kid_kernel": "poly", "kid_kernel_poly_degree": 3}
    settings |= {"kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    found = reference.kid_features_to_metric(torch.tensor(one), torch.tensor(other), **settings)
    assert squared_mmd(one, other) == pytest.approx(next(iter(found.values())), rel=DISTANCES)


def test_inception_score():
    reference = torch_fidelity("metric_isc")
    torch = pytest.importorskip("torch")
    logits = (3 * RNG.standard_normal((203, 30))).astype(np.float32)
    want = reference.isc_features_to_metric(torch.tensor(logits), splits=10, shuffle=False)
    keeper = ClassScores("logits", 10).start(len(logits))
    order = RNG.permutation(len(logits))
    for rows in np.array_split(order, 9):
        keeper.add(rows, {"logits": logits[rows]})
    scores = keeper.result()
    # All in double precision.
    assert scores.mean() == pytest.approx(want["inception_score_mean"], rel=1e-9)
    assert scores.std() == pytest.approx(want["inception_score_std"], rel=1e-6)


def test_precision_and_recall():
    reference = torch_fidelity("metric_prc")
    torch = pytest.importorskip("torch")
    samples, real = features(150, 0.5), features(210)
    settings = {"prc_neighborhood": 3, "prc_batch_size": 64, "save_cpu_ram": False, "verbose": False}
    want = reference.prc_features_to_metric(
        torch.tensor(samples).double(), torch.tensor(real).double(), **settings
    )
    found = {name: values.mean() for name, values in precision_recall(samples, real, 3).items()}
    assert 0 < want["precision"] < 1
    # The reference answers in single precision.
    assert found == pytest.approx({name: want[name] for name in found}, rel=1e-6)
