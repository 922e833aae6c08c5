"""The loop and its hooks, on a program of plain functions: nothing is compiled."""

import signal
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ulzoo.checkpoint import Checkpoints
from ulzoo.errors import DataError, TrainingError
from ulzoo.hooks import UNFINISHED, MetricLog, save_checkpoints, stop_when_asked
from ulzoo.parallel.mesh import make_mesh
from ulzoo.programs.state import TrainState
from ulzoo.retention import Ranking, Retention
from ulzoo.stopping import StopRequest, Terminated
from ulzoo.train import train
from ulzoo.validation import Validation


class Scalar:
    """A metric that knows when it was fetched."""

    def __init__(self, value, fetched=None):
        self.value, self.fetched = value, fetched

    def __array__(self, dtype=None, copy=None):
        if self.fetched is not None:
            self.fetched.append(self.value)
        return np.asarray(self.value, dtype or np.float32)


def state_at(step):
    part = {"w": jnp.full(2, float(step))}
    return TrainState(jnp.asarray(step, jnp.int32), jax.random.key(0), part, part, part, {})


def program(loss=float, fetched=None):
    """The loss of step n is `loss(n)`, its gradient's norm 1."""

    def step(state, batch):
        assert set(batch) == {"image"}
        done = int(state.step) + 1
        metrics = {"loss": Scalar(loss(done), fetched), "gradient_norm": Scalar(1.0)}
        return state_at(done), metrics

    return SimpleNamespace(mesh=make_mesh(), step=step, abstract_batch={"image": None})


def stream(count=None):
    batch = {"image": np.zeros((1, 2, 2, 1), np.uint8), "index": np.zeros(1, np.int32)}
    number = 0
    while count is None or number < count:
        number += 1
        yield batch


def test_hooks_are_called_in_order_at_their_steps_and_at_the_last():
    calls = []
    hooks = [(2, lambda step, *_: calls.append(("a", step))), (3, lambda step, *_: calls.append(("b", step)))]
    state = train(program(), state_at(1), stream(), steps=7, hooks=hooks)
    assert int(state.step) == 7
    assert calls == [("a", 2), ("b", 3), ("a", 4), ("a", 6), ("b", 6), ("a", 7), ("b", 7)]


def test_nothing_is_left_to_do():
    calls = []
    state = train(program(), state_at(5), stream(), steps=5, hooks=[(1, lambda *_: calls.append(_))])
    assert int(state.step) == 5
    assert calls == []


def test_data_that_end_early_or_lack_an_entry():
    with pytest.raises(DataError, match="the data ended before step 3 of 5"):
        train(program(), state_at(0), stream(2), steps=5)
    batches = iter([{"label": np.zeros(1, np.int32)}])
    with pytest.raises(DataError, match="the batches have no entry 'image'"):
        train(program(), state_at(0), batches, steps=1)


def test_metrics_are_fetched_one_interval_late():
    fetched, records, seen = [], [], {}
    log = MetricLog("stage1", {"loss": "nats", "gradient_norm": "nats"}, 3, records.extend)

    def watch(step, *_):
        seen[step] = len(fetched)

    train(program(fetched=fetched), state_at(0), stream(), steps=8, hooks=[(1, log), (1, watch)])
    # Nothing in the first interval, the first at the end of the second; the rest when asked for.
    assert seen == {1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 3, 7: 3, 8: 3}
    log.flush()
    assert len(fetched) == 8
    losses = [(r.step, r.value, r.protocol["steps"]) for r in records if r.name == "stage1/train/loss"]
    assert losses == [(3, 2.0, [1, 3]), (6, 5.0, [4, 6]), (8, 7.5, [7, 8])]


def resumed(tmp_path, start, steps, loss=float):
    records = []
    log = MetricLog("stage1", {"loss": "nats", "gradient_norm": "nats"}, 5, records.extend)
    with Checkpoints(tmp_path) as checkpoints:
        save = save_checkpoints(checkpoints, {"spec_hash": "x"}, log)
        hooks = [(1, log), (4, save)]
        train(program(loss), state_at(start), stream(), steps=steps, hooks=hooks)
    return records


def test_intervals_end_at_checkpoints_so_that_a_resumed_run_has_the_same(tmp_path):
    whole = resumed(tmp_path / "whole", 0, 12)
    assert [r.step for r in whole if r.name.endswith("/loss")] == [4, 5, 8, 10, 12]
    halves = resumed(tmp_path / "halves", 0, 8) + resumed(tmp_path / "halves", 8, 12)
    assert halves == whole


def test_a_checkpoint_has_the_metrics_that_it_may_be_ranked_by(tmp_path):
    log = MetricLog("stage1", {"loss": "nats", "gradient_norm": "nats"}, 2, lambda records: None)
    ranking = Ranking("validation/loss", "max")
    with Checkpoints(tmp_path, retention=Retention(1, ranking=ranking)) as checkpoints:
        # Of steps 3, 6 and 9; the second is the greatest.
        save = save_checkpoints(checkpoints, {}, log, lambda step, state: {"loss": -abs(step - 5.0)})
        train(program(), state_at(0), stream(), steps=9, hooks=[(1, log), (3, save)])
        checkpoints.wait()
        assert checkpoints.steps() == [6, 9]
        # The interval that ends at the checkpoint: of step 9 alone, since 8 ended one.
        assert checkpoints.scores(9) == {
            "train/loss": 9.0,
            "train/gradient_norm": 1.0,
            "validation/loss": -4.0,
        }
        assert checkpoints.best(ranking) == 6


def test_held_out_batches_are_measured_with_the_same_noise_each_time():
    """Against the mean over the same images: `evaluate` sees whole batches, and keys that do not change."""
    seen = []

    def evaluate(state, batch, key):
        seen.append(jax.random.key_data(key).tolist())
        return {"loss": jnp.asarray(batch["image"], jnp.float32).mean() + state.step}

    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)

    class Held:
        def __len__(self):
            return 10

        def __getitem__(self, index):
            return {"image": images[index], "index": np.int32(index)}

    data = SimpleNamespace(open=lambda split: Held() if split == "heldout" else None)
    measured = SimpleNamespace(
        name="stage1", mesh=make_mesh(), evaluate=evaluate, abstract_batch={"image": None}
    )
    validation = Validation(measured, data, batch_size=4, count=5, seed=1)
    # Two whole batches of 4, spread over the ten: records 0, 1, 2, 3, 5, 6, 7, 8.
    assert validation(state_at(0)) == {"loss": 4.0}
    assert validation(state_at(3)) == {"loss": 7.0}
    assert seen[:2] == seen[2:]
    assert seen[0] != seen[1]
    (record,) = validation.records(3, {"loss": 7.0}, {"loss": "nats"})
    assert (record.name, record.value, record.unit) == ("stage1/validation/loss", 7.0, "nats")
    assert record.protocol["batches"] == 2
    assert not record.is_training


@pytest.mark.parametrize("at", [1, 3, 4, 8])
def test_a_stopped_run_has_the_records_of_one_that_was_not(tmp_path, at):
    """Wherever it stops: in an interval, at its end, at a checkpoint. Thirds are rounded in float32."""

    def part(records, start, unfinished, stop_at=None):
        log = MetricLog(
            "stage1", {"loss": "nats", "gradient_norm": "nats"}, 3, records.extend, unfinished=unfinished
        )
        stop = StopRequest()
        with Checkpoints(tmp_path / str(stop_at is None and start == 0)) as checkpoints:
            hooks = [
                (1, log),
                (4, save_checkpoints(checkpoints, {"x": 1}, log)),
                (1, lambda step, *_: stop.make(signal.SIGTERM) if step == stop_at else None),
                (1, stop_when_asked(stop, checkpoints, {"x": 1}, log)),
            ]
            train(program(lambda n: n / 3), state_at(start), stream(), steps=9, hooks=hooks)

    whole, stopped = [], []
    part(whole, 0, [])
    with pytest.raises(Terminated) as caught:
        part(stopped, 0, [], at)
    assert caught.value.__notes__ == [f"step {at} is saved"]
    checkpoints = Checkpoints(tmp_path / "False", read_only=True)
    assert checkpoints.latest() == at
    part(stopped, at, checkpoints.manifest(at).get(UNFINISHED, []))
    assert stopped == whole


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_it_is_saved(tmp_path, bad):
    with pytest.raises(TrainingError) as caught:
        resumed(tmp_path, 0, 100, lambda step: bad if step >= 6 else 1.0)
    assert str(caught.value) == (
        f"stage1: the loss is {bad} at step 6\n"
        "    try a smaller learning rate, a longer warm-up, or precision: float32"
    )
    # Step 8, the next checkpoint, would have been of a state that is lost.
    checkpoints = Checkpoints(tmp_path, read_only=True)
    assert checkpoints.steps() == [4]
    restored = checkpoints.restore_part(
        4,
        "params",
        jax.eval_shape(lambda: state_at(4)).params
        | {
            "w": jax.ShapeDtypeStruct(
                (2,), jnp.float32, sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0])
            )
        },
    )
    assert (np.asarray(restored["w"]) == 4.0).all()


def skipping(bad, every):
    """Records of 6 steps in which those in `bad` were skipped; the loss of step n is n."""
    records = []
    units = {"loss": "nats", "gradient_norm": "nats", "skipped_steps": "1"}
    log = MetricLog("stage1", units, every, records.extend)
    for step in range(1, 7):
        loss = float("nan") if step in bad else float(step)
        metrics = {"loss": loss, "gradient_norm": 1.0, "skipped_steps": float(step in bad)}
        log(step, None, {name: np.float32(value) for name, value in metrics.items()})
    log.flush()
    return {(r.step, r.name.rpartition("/")[2]): r.value for r in records}


def test_skipped_steps_are_counted_and_left_out_of_averages(monkeypatch):
    found = skipping({2, 4, 5, 6}, 3)
    assert found == {(3, "loss"): 2.0, (3, "gradient_norm"): 1.0, (3, "skipped_steps"): 1.0} | {
        (6, "skipped_steps"): 3.0
    }
    monkeypatch.setattr("ulzoo.hooks.LONGEST_SKIP", 3)
    assert skipping({1, 2, 4, 5}, 2)
    with pytest.raises(TrainingError) as caught:
        skipping({2, 3, 4, 5}, 3)
    assert str(caught.value) == (
        "stage1: 3 steps in a row skipped up to step 4, each with a loss or gradient that is not finite\n"
        "    try a smaller learning rate, a longer warm-up, or precision: float32"
    )
