"""What a step of either stage promises: one trace, donated state, no waiting, the same noise once more."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import assert_same, compilations, images, is_key, to_host

from ulzoo.parallel.mesh import put_batch

STAGES = ["first_stage", "second_stage"]


@pytest.fixture(params=STAGES)
def compiled(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def batches(mesh):
    return [put_batch(images(seed), mesh) for seed in range(5)]


def run(compiled, batches, host=None):
    """States on the host and metrics after each batch."""
    state, states, metrics = compiled.state(host), [], []
    for batch in batches:
        state, measured = compiled.program.step(state, batch)
        states.append(to_host(state))
        metrics.append({name: float(value) for name, value in measured.items()})
    return states, metrics


def test_one_trace_and_one_program_for_all_steps(compiled, batches):
    state, _ = compiled.program.step(compiled.state(), batches[0])
    with compilations() as seen:
        for batch in batches[1:]:
            state, _ = compiled.program.step(state, batch)
    assert not seen
    assert len(compiled.traces) == 1


def test_the_state_is_donated(compiled, batches):
    state = compiled.state()
    new, _ = compiled.program.step(state, batches[0])
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        assert leaf.is_deleted(), jax.tree_util.keystr(path)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(new))


def test_steps_and_metrics_need_no_transfer(compiled, batches):
    state = compiled.state()
    with jax.transfer_guard("disallow"):
        with pytest.raises(Exception, match=r"[Dd]isallowed host-to-device"):
            jnp.add(np.ones(3), 1.0)
        for batch in batches:
            state, metrics = compiled.program.step(state, batch)
    assert all(isinstance(value, jax.Array) for value in metrics.values())


def test_a_restored_state_takes_the_very_same_steps(compiled, batches):
    states, metrics = run(compiled, batches)
    resumed, resumed_metrics = run(compiled, batches[2:], states[1])
    assert_same(states[-1], resumed[-1])
    assert metrics[2:] == resumed_metrics
    assert int(states[-1].step) == 5


def test_noise_depends_on_the_step_and_the_key_alone(compiled, batches):
    """Equal parameters and data, another step: another noise, and with it another loss."""
    later = eqx.tree_at(lambda s: s.step, compiled.first, np.int32(7))
    other = eqx.tree_at(lambda s: s.key, compiled.first, compiled.first.key + np.uint32(1))
    losses = [run(compiled, batches[:1], host)[1][0]["squared_error"] for host in (None, later, other)]
    assert len(set(losses)) == 3


def test_ema_follows_its_formula(compiled, batches, request, spec):
    decay = spec.stage1.ema if compiled is request.getfixturevalue("first_stage") else spec.stage2.ema
    states, _ = run(compiled, batches[:3])
    for step, (before, after) in enumerate(zip([compiled.first, *states], states, strict=False)):
        d = min(decay, (1 + step) / (10 + step))
        expected = jax.tree.map(lambda e, p, d=d: d * e + (1 - d) * p, before.ema, after.params)
        # Float32 rounding of two products and a sum of numbers of order 1.
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after.ema, expected)
    # Both regimes were there: the early average forgets, the later one decays as the spec says (stage 1).
    assert (1 + 0) / (10 + 0) < spec.stage1.ema < (1 + 2) / (10 + 2)


def test_gradients_are_finite_and_reach_every_parameter(compiled, batches):
    """Zero-initialised layers wake one after the other; Adam's first moment remembers every gradient."""
    states, metrics = run(compiled, batches)
    for measured in metrics:
        assert all(np.isfinite(list(measured.values())))
        assert measured["gradient_norm"] > 0
    moments = optax.tree_utils.tree_get(states[-1].opt_state, "mu")
    silent = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(moments)
        if not np.any(leaf)
    ]
    assert not silent
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(states[-1].params))


def test_the_first_state_is_what_was_announced(compiled):
    announced = compiled.program.abstract_state
    state = compiled.state()
    assert jax.tree.structure(state) == jax.tree.structure(announced)
    for leaf, like in zip(jax.tree.leaves(state), jax.tree.leaves(announced), strict=True):
        assert (leaf.shape, leaf.dtype) == (like.shape, like.dtype)
        assert leaf.sharding.is_equivalent_to(like.sharding, leaf.ndim)
    stepped, _ = compiled.program.step(state, put_batch(images(0), compiled.program.mesh))
    for leaf, like in zip(jax.tree.leaves(stepped), jax.tree.leaves(announced), strict=True):
        assert (leaf.shape, leaf.dtype) == (like.shape, like.dtype)
        assert leaf.sharding.is_equivalent_to(like.sharding, leaf.ndim)
    floats = [
        leaf
        for leaf in jax.tree.leaves(stepped)
        if not is_key(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact)
    ]
    assert {leaf.dtype for leaf in floats} == {np.dtype("float32")}


def test_equal_keys_give_equal_states(compiled):
    assert_same(compiled.program.init(jax.random.key(3)), compiled.program.init(jax.random.key(3)))


def test_evaluation_reads_the_average_alone_and_repeats(compiled, batches):
    poisoned = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), compiled.first.params)
    state = compiled.state(eqx.tree_at(lambda s: s.params, compiled.first, poisoned))
    key = jax.random.key(9)
    first = compiled.program.evaluate(state, batches[0], key)
    again = compiled.program.evaluate(state, batches[0], key)
    assert np.isfinite(first["loss"])
    assert first["loss"] == again["loss"]
    assert first["loss"] != compiled.program.evaluate(state, batches[0], jax.random.key(10))["loss"]


def test_modules_carry_the_states_parameters(compiled):
    state = compiled.state()
    averaged = compiled.program.modules(
        eqx.tree_at(lambda s: s.ema, state, jax.tree.map(jnp.zeros_like, state.ema))
    )
    current = compiled.program.modules(state, ema=False)
    name = lambda m: m.decoder.network if hasattr(m, "decoder") else m.network  # noqa: E731
    assert not name(averaged).position.any()
    np.testing.assert_array_equal(name(current).position, name(state.params).position)
