"""The Fréchet video distance: whose clips it compares, what it refuses, what its record says."""

from __future__ import annotations

import numpy as np
import pytest
from fake_evaluation import FakeEvaluation
from scipy import linalg

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import DataIO
from ulzoo.metrics.fvd import FVDConfig
from ulzoo.metrics.i3d_features import I3DFeatures, write_random_i3d
from ulzoo.metrics.inception_features import write_random_inception
from ulzoo.metrics.prediction_fvd import PredictionFVDConfig

IO = DataIO((3, 10, 12, 16), 2)


class MeansOfFrames(I3DFeatures):
    """In place of the network, whose own test is `test_i3d_parity`: the mean level of each frame."""

    def open(self):
        return lambda batch: {"logits": batch.images.mean((2, 3, 4), dtype=np.float32)}


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return MeansOfFrames(weights=write_random_i3d(tmp_path_factory.mktemp("weights")))


def clips(seed, count):
    frame = np.random.default_rng(seed).integers(0, 256, (count, 1, 12, 16, 3))
    moving = frame + 9 * np.arange(10)[None, :, None, None, None]
    return (moving % 256).astype(np.uint8)


class Predicting(FakeEvaluation):
    def predictions(self, split, limit, given, seed):
        self.calls.append(("predictions", split, limit, given, seed))
        return *self.pairs, {"sampler": "fake"}


def test_the_distance_is_that_of_whole_clips_logits(features):
    real, predicted = clips(0, 60), clips(1, 50)
    evaluation = Predicting(heldout=(real, None), pairs=(real[:50], predicted))
    config = PredictionFVDConfig(features=features, count=50, given=4, resamples=2)
    (record,) = config.build(IO)(evaluation)
    assert ("predictions", "heldout", 50, 4, 0) in evaluation.calls
    means = [x.astype(float).mean((2, 3, 4)) for x in (predicted, real)]
    (mean, covariance), (other_mean, other_covariance) = ((x.mean(0), np.cov(x.T)) for x in means)
    product = linalg.sqrtm(covariance @ other_covariance + 1e-9 * np.eye(10)).real
    want = ((mean - other_mean) ** 2).sum() + np.trace(covariance + other_covariance - 2 * product)
    # A root of a product of low rank, which the oracle takes as it is.
    assert record.value == pytest.approx(want, rel=1e-2)
    assert record.value > 0
    assert record.name == "stage2/heldout/prediction_fvd"
    how = record.protocol
    assert how["clips"] == {"frames": 10, "height": 12, "width": 16, "given_frames": 4, "re-encoding": "none"}
    assert how["features"]["network"] == "I3D Kinetics-400"
    assert how["features"]["resize"] == "tensorflow"
    assert how["features"]["dimensions"] == 10
    assert (how["images"], how["reference"]["images"]) == (50, 60)


def test_samples_are_compared_with_the_split(features):
    drawn = clips(2, 40)
    evaluation = FakeEvaluation(train=(drawn, None), drawn=(drawn, None))
    (record,) = FVDConfig(features=features, count=40, resamples=0).build(IO)(evaluation)
    # The same clips: rounding of a root of a covariance of low rank is left, far below any change of a frame.
    assert record.value == pytest.approx(0, abs=1e-6)
    assert record.name == "stage2/train/fvd"
    assert record.protocol["clips"]["given_frames"] == 0


@pytest.mark.parametrize(
    ("shape", "fields", "message"),
    [
        ((3, 64, 64), {}, "sees clips with 1 or 3 channels"),
        ((3, 8, 64, 64), {}, "9 frames or more; a clip has 8"),
        ((3, 10, 64, 64), {"given": 10}, "10 frames leave nothing of 10"),
    ],
)
def test_other_data_are_refused(features, shape, fields, message):
    with pytest.raises(InterfaceError, match=message):
        PredictionFVDConfig(features=features, **fields).build(DataIO(shape, None))


def test_a_file_of_another_network_is_refused(tmp_path):
    other = write_random_inception(tmp_path)
    with pytest.raises(InterfaceError, match=r"Conv3d_1a_7x7"):
        FVDConfig(features={"weights": other}).build(IO)
