"""Micro-batches, number formats and transfers, on a model whose step can be written down."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import SPEC, images

from ulzoo.errors import InterfaceError
from ulzoo.hooks import MetricLog
from ulzoo.interfaces import DataIO
from ulzoo.parallel.mesh import make_mesh, put_batch
from ulzoo.programs.program import make_program
from ulzoo.programs.stage1 import stage1
from ulzoo.spec import Precision, parse_spec, spec_hash
from ulzoo.train import train

RATE = 0.25


class Line(eqx.Module):
    w: jax.Array


def draw(batch, key):
    x = batch["image"].reshape(len(batch["image"]), -1).astype(jnp.float32) / 64
    return x, jax.random.normal(key, x.shape[:1])


def loss(model, examples, step, key, inference):
    x, noise = examples
    difference = (x.astype(model.w.dtype) @ model.w).astype(jnp.float32) - noise
    return jnp.mean(difference**2), {"difference": jnp.mean(difference)}


def program(accumulate=1, optimizer=None, **precision):
    return make_program(
        "stage1",
        lambda key: Line(jnp.arange(1.0, 5.0)),
        loss,
        optimizer or optax.sgd(RATE),
        data=DataIO((1, 2, 2)),
        batch_size=8,
        ema=0.5,
        mesh=make_mesh(),
        precision=Precision(**precision),
        draw=draw,
        accumulate=accumulate,
    )


BATCH = images(3, 8, (2, 2, 1))


def stepped(made):
    return made.step(made.init(jax.random.key(1)), put_batch(BATCH, made.mesh))


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_step_is_that_of_the_whole_batch(accumulate):
    made = program(accumulate)
    state, metrics = stepped(made)
    # The gradient by hand; the step's noise is drawn for the whole batch from its own key.
    first = made.init(jax.random.key(1))
    x, noise = map(np.float64, draw(BATCH, jax.random.fold_in(first.key, 0)))
    w = np.arange(1.0, 5.0)
    difference = x @ w - noise
    gradient = 2 * x.T @ difference / 8
    # float32, sums of eight terms of size one to a hundred.
    np.testing.assert_allclose(state.params.w, w - RATE * gradient, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], (difference**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["difference"], difference.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["gradient_norm"], np.linalg.norm(gradient), rtol=1e-5)


def test_micro_batches_take_the_memory_of_one():
    """The loss is traced for examples of a micro-batch, in a loop."""
    text = str(program(4).trace().jaxpr)
    assert "scan[" in text
    assert "f32[2,4]" in text


def test_micro_batches_that_do_not_divide_the_batch():
    with pytest.raises(
        InterfaceError, match=r"^stage1.batch_size: 8 is not a multiple of accumulate = 3; near"
    ):
        program(3)
    with pytest.raises(ValueError, match="give draw"):
        make_program(
            "stage1",
            lambda key: Line(jnp.ones(4)),
            loss,
            optax.sgd(1.0),
            data=DataIO((1, 2, 2)),
            batch_size=8,
            ema=0.5,
            mesh=make_mesh(),
            accumulate=2,
        )


def test_formats_of_what_is_kept():
    made = program(params="bfloat16", compute="bfloat16", optimizer=optax.adam(0.1), reduction="bfloat16")
    state, metrics = stepped(made)
    assert state.params.w.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves((state.ema, state.opt_state[0].mu))} == {
        jnp.dtype("float32")
    }
    assert {value.dtype for value in metrics.values()} == {jnp.dtype("float32")}
    kept = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (state.params, state.ema, state.opt_state))
    like = made.abstract_state
    assert kept == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), (like.params, like.ema, like.opt_state)
    )


@pytest.mark.parametrize(("reduction", "relative"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_gradients_are_added_in_the_format_of_reduction(reduction, relative):
    state, _ = stepped(program(4, reduction=reduction))
    whole, _ = stepped(program())
    error = np.abs(np.asarray(state.params.w - whole.params.w) / (RATE * np.asarray(whole.params.w))).max()
    # bfloat16 has a relative rounding error of up to 1/256 in each of four additions.
    assert error < relative
    assert (error > 1e-4) == (reduction == "bfloat16")


def test_the_loop_transfers_nothing_but_what_it_says(mesh):
    """Batches go to the device, and metrics come from it, by explicit transfers alone."""
    made, seen = program(2), []
    log = MetricLog("stage1", dict.fromkeys(("loss", "difference", "gradient_norm"), "1"), 2, seen.extend)
    state = made.init(jax.random.key(1))
    made.step(jax.tree.map(jnp.copy, state), put_batch(BATCH, made.mesh))
    with jax.transfer_guard("disallow"):
        train(made, state, iter([BATCH] * 6), steps=6, hooks=[(1, log)])
        log.flush()
    assert len(seen) == 9


def test_precision_has_one_meaning_and_one_hash(builtin_registry):
    def read(precision):
        return parse_spec(f"{SPEC}precision: {precision}\n", registry=builtin_registry)

    short, long = read("bfloat16"), read("{compute: bfloat16, params: float32}")
    assert short == long
    assert short.precision == "bfloat16"
    assert spec_hash(short) == spec_hash(long)
    assert spec_hash(read("float32")) == spec_hash(parse_spec(SPEC, registry=builtin_registry))
    wide = read("{compute: bfloat16, reduction: bfloat16}")
    assert spec_hash(wide) != spec_hash(short)
    assert wide.formats == Precision(compute="bfloat16", reduction="bfloat16")


def test_what_does_not_change_the_result_is_not_in_the_hash(builtin_registry):
    changes = ["stage1.accumulate=2", "parallel.mesh={fsdp: 2}", "prior.network.remat=products"]
    hashes = {
        spec_hash(parse_spec(SPEC, registry=builtin_registry, overrides=some)) for some in ([], changes)
    }
    assert len(hashes) == 1


def test_stages_take_their_settings(spec, assembly, mesh):
    made = stage1(assembly, spec.stage1.model_copy(update={"accumulate": 2}), mesh=mesh, precision="bfloat16")
    assert str(made.trace().jaxpr).count("u8[2,2,8,8,1]") > 0
