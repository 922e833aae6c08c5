"""The rate in its units and splits."""

from __future__ import annotations

import numpy as np
import pytest
from fake_evaluation import FakeEvaluation

from ulzoo.errors import UlzooError
from ulzoo.metrics.base import RateTable
from ulzoo.metrics.bits_per_pixel import BitsPerPixelConfig

N, K = 40, 8


def table():
    """Rates around 64 ln 2 nats per image: one bit for each of 64 pixels."""
    rng = np.random.default_rng(0)
    log_snr = np.linspace(-10, 5, K) + np.zeros((N, 1))
    diffusion = rng.uniform(0.5, 1.5, (N, K)) * 60 * np.log(2)
    nats = diffusion + 4 * np.log(2)
    maps = np.repeat(nats.mean(1), 9).reshape(N, 3, 3) / 9
    return RateTable(nats=nats, log_snr=log_snr, diffusion=diffusion, maps=maps)


def measured(**fields):
    evaluation = FakeEvaluation(table=table(), **fields)
    return BitsPerPixelConfig(count=N, times=K, seed=3, bins=5).build()(evaluation), evaluation


def test_one_rate_in_four_units():
    records, evaluation = measured()
    names = ["bits_per_pixel", "nats", "bits_per_latent_dim", "bytes_per_image"]
    assert [record.name for record in records] == [f"stage1/heldout/{name}" for name in names]
    assert evaluation.calls == [("rates", "heldout", N, K, 3)]
    bits = table().nats.mean() / np.log(2)
    for record, want in zip(records, [bits / 64, bits * np.log(2), bits / 18, bits / 8], strict=True):
        assert record.value == pytest.approx(want, rel=1e-12)
        low, high = record.interval
        assert low < record.value < high
        # All four intervals are one interval in other units.
        assert low / record.value == pytest.approx(records[0].interval[0] / records[0].value)
        assert record.protocol["rate"] == "upper bound"
        assert (record.protocol["images"], record.protocol["times"], record.protocol["spec"]) == (N, K, "abc")


def test_splits_sum_to_the_rate():
    records, _ = measured()
    extra = records[0].extra
    levels = extra["by_noise_level"]
    assert len(levels["bits_per_pixel"]) == 5
    assert levels["without_level"] == pytest.approx(4 / 64)
    assert sum(levels["bits_per_pixel"]) + levels["without_level"] == pytest.approx(records[0].value)
    assert extra["by_position"].shape == (3, 3)
    assert extra["by_position"].sum() == pytest.approx(records[0].value * 64)
    assert records[0].to_json()


def test_an_objective_that_is_no_bound_gives_a_proxy():
    records, _ = measured(is_bound=False)
    assert {record.protocol["rate"] for record in records} == {"proxy"}


def test_rates_that_are_not_finite():
    broken = table()
    broken.nats[0, 0] = np.nan
    with pytest.raises(
        UlzooError, match="stage1/heldout/bits_per_pixel: the model gives rates that are not finite"
    ):
        BitsPerPixelConfig().build()(FakeEvaluation(table=broken))


def test_rates_of_draws_are_records_of_their_own():
    evaluation = FakeEvaluation(table=table())
    records = BitsPerPixelConfig(split="train", count=N, times=K // 2, seed=3, draws=2).build()(evaluation)
    assert evaluation.calls == [("rates", "train", N, K // 2, 3, 2)]
    assert {record.name.rsplit("/", 1)[0] for record in records} == {"stage1/train_drawn"}
    how = records[0].protocol
    assert (how["split"], how["draws"], how["times"], how["images"]) == ("train", 2, K // 2, N)
    assert "draws" not in measured()[0][0].protocol
