"""Trained modules as metrics see them; the modules here are random ones."""

import re
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_run import SPEC

from ulzoo.data.source import Source
from ulzoo.errors import InterfaceError, RunError, SpecError
from ulzoo.evaluation import TrainedEvaluation
from ulzoo.examples import examples_of
from ulzoo.experiment import Experiment, check_fit
from ulzoo.metrics.collecting import Collection
from ulzoo.metrics.sinks import TableKeeper
from ulzoo.programs.measure import rates
from ulzoo.spec import parse_spec


@pytest.fixture(scope="module")
def experiment():
    """Without conditioners: samples that depend on nothing but their noise."""
    text = SPEC.replace("conditioners: [{type: ulzoo.class_label.v1, width: 8}]", "conditioners: []")
    text = re.sub(r"\n *- .*conditional_accuracy.*", "", text)
    return Experiment.of(parse_spec(text.replace("count: 12, batch_size: 16", "count: 12, batch_size: 4")))


@pytest.fixture
def evaluation(experiment):
    spec = experiment.spec
    rng = np.random.default_rng(0)

    def modules(stage):
        # Random everywhere: modules begin with zeros at their outputs, which give grey whatever comes in.
        program = experiment.program(stage)
        state = program.abstract_state
        parts = jax.tree.map(
            lambda leaf: jnp.asarray(rng.normal(0, 0.3, leaf.shape), leaf.dtype), (state.ema, state.knobs)
        )
        return program.join(*parts)

    return TrainedEvaluation(
        stage=2,
        step=3,
        data=spec.data,
        assembly=experiment.assembly,
        sample=spec.sample,
        mesh=experiment.mesh,
        protocol={},
        quiet=True,
        autoencoder=modules(1),
        base=modules(2),
    )


def test_samples_of_one_seed_are_one_series(evaluation, monkeypatch):
    drawn = []
    draw = TrainedEvaluation.draw
    monkeypatch.setattr(
        TrainedEvaluation, "draw", lambda self, *args: drawn.append(args[0]) or draw(self, *args)
    )
    ten, labels, protocol = evaluation.samples(10, seed=0)
    assert ten.shape == (10, 8, 8, 1)
    assert list(labels) == list(range(10))
    assert protocol["seed"] == 0
    assert protocol["sampler"] == {"type": "ulzoo.ddim.v1", "steps": 4}
    five, labels, _ = evaluation.samples(5, seed=0)
    assert (five == ten[:5]).all()
    assert list(labels) == list(range(5))
    assert drawn == [10]
    other, _, _ = evaluation.samples(5, seed=1)
    assert drawn == [10, 5]
    assert not (other == five).all()
    # No two of them are the same, over batches of 4 of which the last is padded.
    assert len({image.tobytes() for image in ten}) == 10
    evaluation.base = None
    with pytest.raises(RunError, match="there is no base model to sample from: train stage 2 first"):
        evaluation.draw(1, None, 0)


def test_sobol_starts_are_of_the_samples_and_in_their_protocol(evaluation):
    settings = evaluation.sample.model_copy(update={"starts": "sobol"})
    sobol = replace(evaluation, sample=settings, _drawn={})
    ten, labels, protocol = sobol.samples(10, seed=0)
    assert protocol["starts"] == "sobol"
    # Over batches of 4 of which the last is padded, as one by one: the order within a class decides.
    assert (sobol.draw(1, labels[:1], 0) == ten[:1]).all()
    assert (sobol.draw(3, labels[:3], 0) == ten[:3]).all()
    independent, _, other = evaluation.samples(10, seed=0)
    assert other["starts"] == "independent"
    assert not (independent == ten).all(axis=(1, 2, 3)).any()


def test_images_and_rates_are_of_the_same_records(evaluation):
    images, labels = evaluation.images("heldout", 6)
    assert images.shape == (6, 8, 8, 1)
    assert labels.shape == (6,)
    table = evaluation.rates("heldout", 6, 2, 0)
    # Two batches of 4: the padding of the second one is left out.
    assert table.nats.shape == table.log_snr.shape == table.diffusion.shape == (6, 2)
    assert table.maps.shape == (6, 4, 4)
    assert evaluation.rates("heldout", 6, 2, 0) is table
    # An image's numbers are its own, whatever is measured with it: 3 of these 6, spread evenly.
    half = evaluation.rates("heldout", 3, 2, 0)
    source = evaluation.source("heldout")
    chosen = {limit: np.arange(limit) * len(source) // limit for limit in (3, 6)}
    assert list(chosen[3]) == list(chosen[6][::2])
    np.testing.assert_allclose(half.nats, table.nats[::2], rtol=1e-5)  # batches of 3 and 4: float32 sums
    originals, results, protocol = evaluation.reconstructions("heldout", 6, 0, None)
    assert (originals == images).all()
    assert results.shape == images.shape
    assert protocol["decoder_sampler"] == {"type": "ulzoo.ddim.v1", "steps": 2}


def test_nothing_is_damaged_here(evaluation):
    evaluation.images("train", 3)
    assert evaluation.skipped == ()
    assert (evaluation.pixels, evaluation.latent_shape, evaluation.is_bound) == (64, (2, 4, 4), True)


def test_examples_are_the_splits_own_whatever_was_measured_before(evaluation, monkeypatch):
    import ulzoo.examples as module

    calls = []

    def noted(name):
        call = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a: calls.append((name, a[1].shape)) or call(*a))

    noted("rates")
    noted("reconstruct")
    alone = examples_of(evaluation, 5)
    assert sorted(calls) == [("rates", (5, 8, 8, 1)), ("reconstruct", (5, 8, 8, 1))]
    assert (alone.times, alone.rate_seed) == (16, 0)
    assert len(set(alone.index)) == len(alone.index) == 5
    source = evaluation.source("heldout")
    assert (np.stack([source[int(i)]["image"] for i in alone.index]) == alone.originals).all()
    assert [int(source[int(i)]["label"]) for i in alone.index] == list(alone.labels)
    # Once a metric has seen the whole split, its numbers are taken; its batches here are of 4.
    table = evaluation.rates("heldout", None, 2, 7)
    _, results, how = evaluation.reconstructions("heldout", None, 0, None)
    calls.clear()
    later = examples_of(evaluation, 5)
    assert calls == []
    assert (later.index == alone.index).all()
    assert (later.times, later.rate_seed, later.protocol) == (2, 7, how)
    np.testing.assert_array_equal(later.nats, table.nats[later.index].mean(axis=1))
    np.testing.assert_array_equal(later.reconstructions, results[later.index])
    # One unit of uint8 is rounding between float32 sums over batches of 4 and 5.
    assert np.abs(later.reconstructions.astype(int) - alone.reconstructions).max() <= 1


class Denoising(eqx.Module):
    """A prior whose denoiser is a base model's."""

    base: Any
    schedule: Any

    def denoise(self, z_t, log_snr):
        return self.base.denoise(z_t, log_snr, None)


def test_in_stage_1_the_prior_makes_the_samples(evaluation):
    base = evaluation.base
    prior = Denoising(base, base.schedule)
    autoencoder = eqx.tree_at(lambda whole: whole.prior, evaluation.autoencoder, prior)
    alone = replace(evaluation, stage=1, base=None, autoencoder=autoencoder, _drawn={})
    found, _, how = alone.samples(6, seed=0)
    expected, _, _ = evaluation.samples(6, seed=0)
    np.testing.assert_array_equal(found, expected)
    assert how["model"] == "the prior of stage 1"
    assert how["guidance"] is None
    # The normal prior of this spec says what a latent costs, and no more.
    with pytest.raises(InterfaceError, match="NormalPrior has no denoiser"):
        replace(evaluation, stage=1, base=None, _drawn={}).samples(6, seed=0)


def test_a_prior_that_cannot_be_sampled_from_is_found_before_training():
    spec = parse_spec(SPEC, overrides={"evaluate": [{"type": "ulzoo.prior_pca_frechet.v1", "components": 4}]})
    with pytest.raises(SpecError, match=r"evaluate\.0: prior: NormalPrior has no denoiser"):
        check_fit(spec)


def test_what_does_not_fit_is_passed_over_in_batches_with_the_same_numbers(evaluation, monkeypatch):
    """PSNR and PCA-Fréchet of streams that are kept whole and of streams that are not."""
    import ulzoo.evaluation as module
    from ulzoo.metrics.pca_frechet import PCAFrechetConfig
    from ulzoo.metrics.psnr import PSNRConfig

    metrics = [
        PSNRConfig(count=None).build(),
        PCAFrechetConfig(count=10, components=3, train_count=20, real_count=20).build(),
    ]

    def measured(bound):
        monkeypatch.setattr(module, "KEPT_BYTES", bound)
        afresh = replace(evaluation, _kept={}, _drawn={}, _collected=Collection.empty())
        parts = []
        add = TableKeeper.add
        monkeypatch.setattr(
            TableKeeper, "add", lambda self, rows, values: parts.append(len(rows)) or add(self, rows, values)
        )
        records = [record for metric in metrics for record in metric(afresh)]
        monkeypatch.setattr(TableKeeper, "add", add)
        return records, parts, afresh

    whole, _, kept = measured(1 << 26)
    assert ("reconstructions", "heldout") in {key[:2] for key in kept._kept}
    assert kept._drawn
    passed, parts, held = measured(0)
    assert max(parts) == 4
    assert not held._drawn
    assert "reconstructions" not in {key[0] for key in held._kept}
    # The same programs on the same batches.
    assert [record.as_dict() for record in passed] == [record.as_dict() for record in whole]


def test_two_distances_of_samples_that_do_not_fit_draw_them_once(evaluation, monkeypatch):
    import ulzoo.evaluation as module
    from ulzoo.metrics.pca_frechet import PCAFrechetConfig

    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    drawn, drawing = [], TrainedEvaluation._drawing
    monkeypatch.setattr(
        TrainedEvaluation, "_drawing", lambda self, *args: drawn.append(args[0]) or drawing(self, *args)
    )
    metrics = [
        PCAFrechetConfig(count=count, components=3, train_count=20, real_count=20, split=split).build()
        for count, split in ((10, "heldout"), (8, "train"))
    ]
    # As `evaluate_stage` does.
    evaluation.collect([request for metric in metrics for request in metric.requests])
    for metric in metrics:
        assert np.isfinite(metric(evaluation)[0].value)
    assert drawn == [10]


class Damaged(Source):
    """Some records cannot be drawn at some turns: the next one stands in."""

    def __init__(self, source):
        self.source, self.calls = source, {}

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return self.source[index]

    def draw(self, index, rng):
        turn = self.calls[index] = self.calls.get(index, -1) + 1
        return self.source[index + 1 if (index, turn) in self.bad else index]


def test_what_is_damaged_in_some_draw_is_left_out_of_all(evaluation):
    source = Damaged(evaluation.source("heldout"))
    chosen = np.arange(6) * len(source) // 6
    source.bad = {(chosen[1], 0), (chosen[4], 2)}
    evaluation._sources["heldout"] = source
    whole = evaluation.images("heldout", 6)[0]
    table = evaluation.rates("heldout", 6, 2, 0, 3)
    assert table.nats.shape == (4, 6)
    assert table.maps.shape == (4, 4, 4)
    # Draws of this source are the records themselves: only their noise is another's.
    plain = evaluation.rates("heldout", 6, 2, 0)
    assert plain.nats.shape == (6, 2)
    assert len(evaluation.indices["heldout", 6]) == len(whole) == 6
    kept = [0, 2, 3, 5]
    np.testing.assert_allclose(table.nats.mean(1), plain.nats.mean(1)[kept], rtol=0.2)


class Mirrored(Source):
    """Draws are mirror images, or not, at random."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return self.source[index]

    def draw(self, index, rng):
        record = dict(self[index])
        if rng.random() < 0.5:
            record["image"] = record["image"][:, ::-1]
        return record


def test_rates_of_draws_are_of_what_training_draws(evaluation):
    source = Mirrored(evaluation.source("heldout"))
    evaluation._sources["heldout"] = source
    table = evaluation.rates("heldout", 6, 2, 0, 3)
    assert table.nats.shape == table.log_snr.shape == table.diffusion.shape == (6, 6)
    assert table.maps.shape == (6, 4, 4)
    assert evaluation.rates("heldout", 6, 2, 0, 3) is table
    chosen = np.arange(6) * len(source) // 6
    mirrored, means = 0, []
    for turn in range(3):
        records = [source.draw(i, np.random.default_rng([0, turn, i])) for i in chosen]
        images = np.stack([record["image"] for record in records])
        mirrored += sum((image != source[i]["image"]).any() for image, i in zip(images, chosen, strict=True))
        keys = [jax.random.fold_in(jax.random.fold_in(jax.random.key(0), i), turn) for i in chosen]
        nats, _, _, maps = rates(evaluation.autoencoder, images, jnp.stack(keys), 2)
        # Batches of 6 and of 4: float32 sums.
        np.testing.assert_allclose(table.nats[:, 2 * turn : 2 * turn + 2], nats, rtol=1e-5)
        means.append(maps)
    np.testing.assert_allclose(table.maps, np.mean(means, 0), rtol=1e-4, atol=1e-4)
    assert 0 < mirrored < 18
    # What is not drawn is another thing, and examples are never of draws.
    assert evaluation.rates("heldout", 6, 2, 0).nats.shape == (6, 2)
    assert list(evaluation.asked_of_rates("heldout")) == [(2, 0)]
