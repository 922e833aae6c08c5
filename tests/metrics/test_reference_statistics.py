"""Reference statistics from a file, and those that are kept between measurements."""

from __future__ import annotations

import io

import numpy as np
import pytest
from fake_evaluation import FakeEvaluation
from scipy import linalg
from stored_pictures import as_folder, encoded

from ulzoo.data.image_folder import ImageFolderConfig
from ulzoo.errors import DataError, InterfaceError
from ulzoo.interfaces import DataIO
from ulzoo.metrics import reference_cache
from ulzoo.metrics.collecting import Request
from ulzoo.metrics.dinov2_features import write_random_dinov2
from ulzoo.metrics.fd_dinov2 import FDDINOv2Config
from ulzoo.metrics.fid import FIDConfig
from ulzoo.metrics.inception_features import InceptionFeatures, write_random_inception
from ulzoo.metrics.reference_cache import keep, keys_of, recalled
from ulzoo.metrics.reference_file import read_reference
from ulzoo.metrics.sinks import Gaussian, Moments, SetHash, Table
from ulzoo.metrics.streams import Real, Samples
from ulzoo.weights.reading import sha256_of


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_random_inception(tmp_path_factory.mktemp("weights"))


def drawn(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8), None


def statistics(path, dimensions=4, **changes):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, dimensions)) @ rng.normal(size=(dimensions, dimensions))
    arrays = {"mu": rows.mean(0), "sigma": np.cov(rows, rowvar=False)} | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_a_distance_to_a_file_is_the_distance_to_its_gaussian(weights, tmp_path):
    features = InceptionFeatures(weights=weights)
    images = drawn(20, 1)
    reader = features.open()
    pool = reader(next(FakeEvaluation(drawn=images).open_stream(Samples(20, 0)).batches))["pool"]
    pool = pool.astype(np.float64)
    path = statistics(tmp_path / "reference.npz", pool.shape[1])
    config = FIDConfig(features=features, count=20, resamples=0, reference=str(path))
    (record,) = config.build(DataIO((1, 8, 8)))(FakeEvaluation(drawn=images))
    with np.load(path) as arrays:
        mu, sigma = arrays["mu"], arrays["sigma"]
    # Heusel et al. 2017, eq. 6, with scipy's root of a matrix.
    covariance = np.cov(pool, rowvar=False)
    shift = np.square(pool.mean(0) - mu).sum()
    expected = shift + np.trace(covariance + sigma - 2 * linalg.sqrtm(covariance @ sigma).real)
    # The product has rank 19 and its root is good to some 1e-8 of the largest value.
    assert record.value == pytest.approx(expected, rel=1e-4)
    assert record.name == "stage2/reference/fid"
    told = {"of": "statistics of a file, reference.npz", "sha256": sha256_of(path), "images": None}
    assert record.protocol["reference"] == told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mu": None}, "no mu among sigma"),
        ({"mu": np.zeros(3)}, r"mu \(3,\) and sigma \(4, 4\) are not"),
        ({"sigma": np.full((4, 4), np.nan)}, "not finite"),
        ({"sigma": np.triu(np.ones((4, 4)))}, "not symmetric"),
        ({"mu": np.zeros(4, np.int64)}, "not floating point"),
        ({"mu": np.array([{}] * 4, object)}, "no .npz file of arrays"),
    ],
)
def test_what_is_no_statistics_is_refused(tmp_path, changes, words):
    path = statistics(tmp_path / "reference.npz", **changes)
    with pytest.raises(DataError, match=words):
        read_reference(str(path))


def test_a_file_that_is_none_of_arrays_is_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(DataError, match=r"no \.npz file"):
        read_reference(str(tmp_path / "a.npz"))
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(4))
    (tmp_path / "b.npz").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="one array"):
        read_reference(str(tmp_path / "b.npz"))
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_reference(str(tmp_path / "c.npz"))


def test_statistics_of_another_network_are_found_before_training(weights, tmp_path):
    path = str(statistics(tmp_path / "reference.npz"))
    with pytest.raises(InterfaceError, match="statistics of 4 features, but this network gives") as caught:
        FIDConfig(features={"weights": weights}, reference=path).build(DataIO((1, 8, 8)))
    assert caught.value.path == "reference"
    dinov2 = {"weights": write_random_dinov2(tmp_path), "side": 28}
    with pytest.raises(InterfaceError, match="statistics of 4 features"):
        FDDINOv2Config(features=dinov2, reference=path).build(DataIO((1, 8, 8)))


def test_statistics_of_pictures_that_were_written_anew_are_not_taken(tmp_path, monkeypatch):
    """The fingerprint of a folder knows sizes: here another picture is as large."""
    monkeypatch.setattr(reference_cache, "KEPT_FROM", 1)
    folder = as_folder(tmp_path)
    data, split = ImageFolderConfig(root=str(folder), size=4, heldout_fraction=0.4), Real("train", None)
    one = reference_cache.identity(data, data.open("train"), split)
    assert reference_cache.identity(data, data.open("train"), split) == one
    path = folder / "bee" / "2.png"
    was = path.read_bytes()
    path.write_bytes(next(png for png in map(encoded, range(200)) if len(png) == len(was) and png != was))
    other = reference_cache.identity(data, data.open("train"), split)
    assert other["records"] == one["records"]
    assert other != one


class Network:
    """Stands for one; `name` is all of its protocol."""

    def __init__(self, name):
        self.name = name

    def protocol(self):
        return {"network": self.name}


def test_what_is_kept_comes_back_for_the_same_images_and_network_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rng = np.random.default_rng(0)
    train, network = Real("train", None), Network("a")
    moments = Moments(7, rng.normal(size=3), rng.normal(size=(3, 3)))
    gaussian, hashed = Request(train, Gaussian("pool"), network), Request(train, SetHash())
    others = (Request(train, Table("pool"), network), Request(Samples(4, 0), Gaussian("pool"), network))

    def identity(stream):
        return {"records": "abc", "split": stream.split}

    keys = keys_of((gaussian, hashed, *others), identity)
    # Tables would be as large as the features, and samples are of a model.
    assert set(keys) == {gaussian, hashed}
    assert recalled(keys) == {}
    keep({gaussian: moments, hashed: ("f" * 64, 7)}, keys)
    found = recalled(keys)
    assert found[hashed] == ("f" * 64, 7)
    assert found[gaussian].count == 7
    np.testing.assert_array_equal(found[gaussian].mean, moments.mean)
    np.testing.assert_array_equal(found[gaussian].covariance, moments.covariance)
    for request, told in (
        (Request(train, Gaussian("pool"), Network("b")), identity),
        (Request(Real("heldout", None), Gaussian("pool"), network), identity),
        (gaussian, lambda stream: {"records": "abd", "split": stream.split}),
    ):
        assert recalled(keys_of((request,), told)) == {}
    assert keys_of((gaussian,), lambda stream: None) == {}
