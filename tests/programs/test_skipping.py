"""`nonfinite: skip`: a step that is not finite changes its number alone, and costs no more than others."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import SPEC, assert_same, compilations, counted, to_host

from ulzoo.experiment import Experiment
from ulzoo.interfaces import DataIO
from ulzoo.parallel.mesh import make_mesh, put_batch
from ulzoo.programs.program import make_program
from ulzoo.spec import parse_spec, spec_hash

SHAPE = (1, 2, 2)


class Weight(eqx.Module):
    w: jax.Array


def loss(model, batch, step, key, inference):
    """w² plus what the first pixel stands for: 254: an infinite gradient of a finite loss, 255: no number."""
    pixel = batch["image"].reshape(-1)[0]
    w = model.w.sum()
    root = jnp.sqrt(jnp.where(pixel == 254, w - jax.lax.stop_gradient(w), 1.0))
    return w**2 + root + jnp.where(pixel == 255, jnp.nan, 0.0), {"square": w**2}


@pytest.fixture(scope="module")
def skipping():
    optimizer, traces = counted(optax.adam(0.1))
    program = make_program(
        "stage1",
        lambda key: Weight(jnp.ones(3)),
        loss,
        optimizer,
        data=DataIO(SHAPE),
        batch_size=2,
        ema=0.5,
        mesh=make_mesh(),
        skip_nonfinite=True,
    )
    return program, traces


def batch(program, pixel):
    return put_batch({"image": np.full((2, 2, 2, 1), pixel, np.uint8)}, program.mesh)


@pytest.mark.parametrize("pixel", [254, 255])
def test_a_step_that_is_not_finite_changes_its_number_alone(skipping, pixel):
    program, _ = skipping
    state, _ = program.step(program.init(jax.random.key(0)), batch(program, 0))
    before = to_host(state)
    state, metrics = program.step(state, batch(program, pixel))
    after = to_host(state)
    assert_same(eqx.tree_at(lambda s: s.step, before, np.int32(2)), after)
    assert float(metrics["skipped_steps"]) == 1.0
    assert np.isfinite(metrics["loss"]) == (pixel == 254)
    # And it goes on from there as from any other.
    state, metrics = program.step(state, batch(program, 0))
    assert float(metrics["skipped_steps"]) == 0.0
    assert (np.asarray(state.params.w) < before.params.w).all()
    assert int(state.step) == 3


def test_skipping_neither_waits_nor_compiles_nor_copies(skipping):
    program, traces = skipping
    batches = [batch(program, pixel) for pixel in (0, 255, 0, 254)]
    state, _ = program.step(program.init(jax.random.key(0)), batches[0])
    first, count = state, len(traces)
    with compilations() as seen, jax.transfer_guard("disallow"):
        for each in batches:
            state, _ = program.step(state, each)
    assert not seen
    assert len(traces) == count
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first))


@pytest.mark.parametrize("stage", [1, 2])
def test_the_spec_chooses_and_a_run_may_change_its_mind(stage):
    def metrics(text):
        program = Experiment.of(parse_spec(text)).program(stage)
        _, metrics = jax.eval_shape(program.step, program.abstract_state, program.abstract_batch)
        return set(metrics)

    skip = SPEC.replace("steps: 20,", "steps: 20, nonfinite: skip,")
    skip = skip.replace("steps: 20\n", "steps: 20\n  nonfinite: skip\n")
    assert metrics(skip) == metrics(SPEC) | {"skipped_steps"}
    assert spec_hash(parse_spec(skip)) == spec_hash(parse_spec(SPEC))
