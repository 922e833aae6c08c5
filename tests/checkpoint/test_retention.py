"""Which checkpoints stay: the latest, those at multiples of a step, the best by a metric."""

import math
import shutil

import jax.numpy as jnp
import pytest

from ulzoo.checkpoint import Checkpoints
from ulzoo.errors import SpecError
from ulzoo.experiment import Experiment
from ulzoo.restoring import retention_of
from ulzoo.retention import Ranking, Retention
from ulzoo.spec import parse_spec, spec_hash


def test_each_reason_to_stay_is_one():
    steps = list(range(10, 110, 10))
    scores = {10: 5.0, 20: 1.0, 30: math.nan, 40: 2.0, 50: math.inf, 60: -math.inf, 70: 1.0}
    kept = [
        Retention(2).kept(steps, scores),
        Retention(1, every=40).kept(steps, scores),
        Retention(1, ranking=Ranking("loss", "min", 2)).kept(steps, scores),
        Retention(1, ranking=Ranking("loss", "max", 2)).kept(steps, scores),
        Retention(1, every=50, ranking=Ranking("loss", "min", 1)).kept(steps, scores),
        Retention(1, ranking=Ranking("loss")).kept(steps, {}),
    ]
    # Of 20 and 70, which are equal, the earlier is better; what is not finite is never good.
    assert kept == [{90, 100}, {40, 80, 100}, {20, 70, 100}, {10, 40, 100}, {20, 50, 100}, {100}]


def save(checkpoints, scores):
    for step, value in scores.items():
        checkpoints.save(step, {"a": jnp.int32(step)}, {}, scores={"validation/loss": value})


def test_the_best_stays_over_sessions_and_is_found(tmp_path):
    ranking = Ranking("validation/loss")
    retention = Retention(1, every=4, ranking=ranking)
    with Checkpoints(tmp_path, retention=retention) as checkpoints:
        save(checkpoints, {1: 3.0, 2: 1.0, 3: 2.0})
        checkpoints.wait()
        assert checkpoints.steps() == [2, 3]
        assert checkpoints.best(ranking) == 2
    # Another process knows the scores from the files.
    with Checkpoints(tmp_path, retention=retention) as checkpoints:
        save(checkpoints, {4: 2.5, 5: 2.5})
        checkpoints.save(6, {"a": jnp.int32(6)}, {})
        checkpoints.wait()
        assert checkpoints.steps() == [2, 4, 6]
        assert checkpoints.scores(2) == {"validation/loss": 1.0}
        assert checkpoints.scores(6) == {}
        save(checkpoints, {7: 0.5})
        checkpoints.wait()
        assert checkpoints.steps() == [4, 7]
        assert checkpoints.best(ranking) == 7
        assert checkpoints.best(Ranking("train/loss")) is None
    # A step whose scores cannot be read hinders neither saving nor ranking; who restores it is told.
    shutil.rmtree(tmp_path / "step_00000007" / "manifest")
    with Checkpoints(tmp_path, retention=retention) as checkpoints:
        assert checkpoints.best(ranking) == 4
        save(checkpoints, {8: 9.0})
        checkpoints.wait()
        assert checkpoints.steps() == [4, 8]


def test_a_score_that_is_no_number_is_kept_as_one(tmp_path):
    with Checkpoints(tmp_path, retention=Retention(2, ranking=Ranking("validation/loss"))) as checkpoints:
        save(checkpoints, {1: math.nan, 2: math.inf})
        checkpoints.wait()
        assert math.isnan(checkpoints.scores(1)["validation/loss"])
        assert checkpoints.best(Ranking("validation/loss")) is None


SPEC = """\
ulzoo: 1
data: {type: ulzoo.digits.v1, size: 8}
encoder: {type: ulzoo.resnet.v1, patch: 2, channels: [8], blocks: [1], latent_channels: 2}
prior: {type: ulzoo.normal_prior.v1}
decoder:
  type: ulzoo.mse_decoder.v1
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, patch: 2, embedding_width: 8}
stage1: {steps: 4, batch_size: 8}
"""


def test_the_spec_declares_it_and_its_hash_does_not_know():
    more = "batch_size: 8, keep: 3, keep_every: 100, keep_best: {metric: train/loss, mode: max, count: 2}}"
    spec = parse_spec(SPEC.replace("batch_size: 8}", more))
    assert retention_of(spec.stage1) == Retention(3, 100, Ranking("train/loss", "max", 2))
    assert retention_of(parse_spec(SPEC).stage1) == Retention(2, None, None)
    assert spec_hash(spec) == spec_hash(parse_spec(SPEC))


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("validation/los", "stage1 has no metric 'validation/los'"),
        ("validation/skipped_steps", "one of bits_per_pixel, distortion, loss, squared_error"),
        ("loss", "stage1.keep_best.metric"),
    ],
)
def test_metrics_that_the_stage_does_not_have(metric, text):
    with pytest.raises(SpecError) as caught:
        Experiment.of(
            parse_spec(SPEC.replace("batch_size: 8}", f"batch_size: 8, keep_best: {{metric: {metric}}}}}"))
        )
    assert text in str(caught.value)
