"""Stage 1's loss: its scale, its warm-up, its knobs."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import images

from ulzoo.assemble import assemble
from ulzoo.components.decoders.mse_decoder import ConstantWeighting, MSEDecoder
from ulzoo.components.priors.normal_prior import NormalPrior
from ulzoo.interfaces import AbstractDenoiser, AbstractEncoder, DataIO
from ulzoo.parallel.mesh import put_batch
from ulzoo.programs.program import to_images, to_model
from ulzoo.programs.stage1 import stage1
from ulzoo.spec import Stage1


class Repeat(AbstractEncoder):
    """The data, `copies` times over along the channels, scaled."""

    scale: jax.Array
    copies: int = eqx.field(static=True)

    def __call__(self, x, *, key=None):
        return self.scale * jnp.concatenate([x] * self.copies)


class Watched(AbstractDenoiser):
    """Says one number; remembers, for every trace, whether it had a key for dropout and its input's dtype."""

    value: jax.Array
    seen: list = eqx.field(static=True)

    def __call__(self, z_t, log_snr, condition, *, key=None):
        self.seen.append((key is not None, str(z_t.dtype)))
        return jnp.full_like(z_t, self.value)


SETTINGS = {"steps": 10, "batch_size": 4, "ema": 0.0}


def by_hand(copies, seen, *, discount=1.0, precision="float32", settings=None):
    assembly = assemble(
        data=DataIO((1, 8, 8)),
        encoder=Repeat(jnp.asarray(0.5), copies),
        prior=NormalPrior(log_snr=5.0, discount=discount, is_bound=discount == 1.0),
        decoder=MSEDecoder(Watched(jnp.asarray(0.25), seen), ConstantWeighting(jnp.asarray(3.0)), (1, 8, 8)),
    )
    return stage1(assembly, settings or Stage1(**SETTINGS), precision=precision, optimizer=optax.sgd(1e-3))


def expected_terms(batch, copies):
    """(rate, distortion) in bits per pixel, from the closed forms, in float64: sums over dimensions."""
    x = batch["image"].astype(np.float64) / 127.5 - 1
    alpha2, sigma2 = 1 / (1 + np.exp(-5.0)), 1 / (1 + np.exp(5.0))
    kl = 0.5 * (alpha2 * (0.5 * x) ** 2 + sigma2 - 1 - np.log(sigma2))
    squared_error = (x - 0.25) ** 2
    nats = np.array([copies * kl.sum() / len(x), 0.5 * 3.0 * squared_error.sum() / len(x)])
    return nats / (64 * math.log(2))


@pytest.mark.parametrize("copies", [1, 3])
def test_the_loss_is_the_sum_of_both_terms_over_one_constant(copies):
    """A latent three times as large costs three times the rate, beside the same distortion."""
    batch, seen = images(0), []
    program = by_hand(copies, seen)
    _, metrics = program.step(program.init(jax.random.key(0)), put_batch(batch, program.mesh))
    rate, distortion = expected_terms(batch, copies)
    # Float32 sums of some hundred numbers of one sign.
    assert float(metrics["bits_per_pixel"]) == pytest.approx(rate, rel=1e-5)
    assert float(metrics["distortion"]) == pytest.approx(distortion, rel=1e-5)
    assert float(metrics["loss"]) == pytest.approx(rate + distortion, rel=1e-5)


def test_a_discount_enters_the_loss_and_not_the_reported_rate():
    batch = images(0)
    program = by_hand(1, [], discount=0.25)
    _, metrics = program.step(program.init(jax.random.key(0)), put_batch(batch, program.mesh))
    rate, distortion = expected_terms(batch, 1)
    # As above: float32 sums.
    assert float(metrics["bits_per_pixel"]) == pytest.approx(rate, rel=1e-5)
    assert float(metrics["loss"]) == pytest.approx(0.25 * rate + distortion, rel=1e-5)


def test_it_lowers_and_compiles_without_allocating_a_state():
    program = by_hand(1, [])
    before = sum(array.nbytes for array in jax.live_arrays())
    compiled = program.lower().compile()
    assert sum(array.nbytes for array in jax.live_arrays()) - before < 1000
    # What is compiled takes what is announced.
    announced = jax.tree.leaves((program.abstract_state, program.abstract_batch))
    assert len(jax.tree.leaves(compiled.in_avals)) == len(announced)


def test_dropout_is_on_in_steps_and_off_in_evaluation():
    seen = []
    program = by_hand(1, seen)
    batch = put_batch(images(0), program.mesh)
    state = program.init(jax.random.key(0))
    program.evaluate(state, batch, jax.random.key(0))
    assert {key for key, _ in seen} == {False}
    seen.clear()
    program.step(state, batch)
    assert {key for key, _ in seen} == {True}


def test_in_bfloat16_networks_compute_narrow_and_losses_wide():
    batch, seen = images(0), []
    program = by_hand(1, seen, precision="bfloat16")
    state, metrics = program.step(program.init(jax.random.key(0)), put_batch(batch, program.mesh))
    assert {dtype for _, dtype in seen} == {"bfloat16"}
    assert {value.dtype for value in metrics.values()} == {np.dtype("float32")}
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {np.dtype("float32")}
    rate, distortion = expected_terms(batch, 1)
    # z_clean and x̂ are rounded to 8 bits, errors of either sign; the sums over them are not.
    assert float(metrics["loss"]) == pytest.approx(rate + distortion, rel=1e-3)


def test_the_rates_weight_warms_up(first_stage, mesh):
    state, weights, parts = first_stage.state(), [], []
    for seed in range(6):
        state, metrics = first_stage.program.step(state, put_batch(images(seed), mesh))
        weights.append(float(metrics["rate_weight"]))
        whole = weights[-1] * metrics["bits_per_pixel"] + metrics["distortion"]
        parts.append((float(metrics["loss"]), float(whole)))
    assert weights == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    for loss, whole in parts:
        assert loss == pytest.approx(whole, rel=1e-6)  # one float32 product and sum
    # Evaluation is the paper's loss at any time.
    first = first_stage.program.evaluate(first_stage.state(), put_batch(images(0), mesh), jax.random.key(0))
    assert float(first["rate_weight"]) == 1.0


def test_knobs_are_traced_and_not_trained(first_stage, mesh):
    batch = put_batch(images(0), mesh)
    knob = lambda s: s.knobs.decoder.weighting.loss_factor  # noqa: E731
    traces = len(first_stage.traces)
    state, plain = first_stage.program.step(first_stage.state(), batch)
    doubled = eqx.tree_at(knob, first_stage.first, 2 * knob(first_stage.first))
    after, turned = first_stage.program.step(first_stage.state(doubled), batch)
    # A factor of two is exact in binary.
    assert turned["distortion"] == 2 * plain["distortion"]
    assert turned["bits_per_pixel"] == plain["bits_per_pixel"]
    assert len(first_stage.traces) == max(traces, 1)
    assert float(knob(state)) == 1.5
    assert float(knob(after)) == 3.0
    assert state.params.decoder.weighting.loss_factor is None


def test_images_to_floats_and_back():
    """uint8 to [−1, 1] and back is the identity, whatever the number of axes."""
    batch = np.arange(256, dtype=np.uint8).reshape(2, 2, 4, 4, 4)
    x = to_model(jnp.asarray(batch))
    assert x.shape == (2, 4, 2, 4, 4)
    assert (float(x.min()), float(x.max())) == (-1.0, 1.0)
    np.testing.assert_array_equal(to_images(x), batch)
