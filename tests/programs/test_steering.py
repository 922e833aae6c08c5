"""A decoder that is given a rate: what moves its loss factor, when, and that it gets there."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import SPEC, assert_same, drawn_state, images, to_device, to_host

from ulzoo.assemble import assemble
from ulzoo.components.weightings.sigmoid import SigmoidConfig
from ulzoo.components.weightings.steered_sigmoid import SteeredSigmoidConfig
from ulzoo.errors import SpecError
from ulzoo.experiment import check_fit
from ulzoo.interfaces import WeightingIO
from ulzoo.parallel.mesh import put_batch
from ulzoo.programs.stage1 import UNITS, stage1
from ulzoo.spec import parse_spec, spec_hash

GIVEN = "{type: ulzoo.sigmoid.v1, loss_factor: 1.5, bias: 4.0}"
STEERED = """
    {type: ulzoo.steered_sigmoid.v1, rate_target: {bits_per_pixel: 0.5}, bias: 4.0, settle: 1.0, freeze: 0.5}
"""
START = np.float32(4.0 + np.log(2.0))
STEPS, WARMUP = 20, 4  # of the tiny spec


def parse(weighting, registry, *overrides):
    return parse_spec(SPEC.replace(GIVEN, weighting), registry=registry, overrides=overrides)


@pytest.fixture(scope="module")
def program(builtin_registry):
    spec = parse(STEERED, builtin_registry, "stage1.nonfinite=skip")
    return stage1(assemble(spec), spec.stage1)


def level(state):
    return float(state.knobs.decoder.weighting.level)


def with_knobs(host, **values):
    """A state on the host with other numbers in its weighting."""

    def knobs(state):
        return [getattr(state.knobs.decoder.weighting, name) for name in values]

    return eqx.tree_at(knobs, host, [np.float32(value) for value in values.values()])


def run(program, state, steps):
    """The state after steps of these numbers, and (level after, metrics) of each."""
    seen = []
    for i in steps:
        state, metrics = program.step(state, put_batch(images(i), program.mesh))
        seen.append((level(state), {name: float(value) for name, value in metrics.items()}))
    return state, seen


@pytest.fixture(scope="module")
def stage(program):
    """A whole stage from random parameters: the state at step 9 and at the end, and what was seen."""
    host = to_host(drawn_state(program))
    # As `init` has them, for a loss factor of 3 at first; the rest of a state is drawn.
    host = with_knobs(host, level=START, rate=0.0, target=0.5 * 64 * np.log(2), given=4.0)
    state, first = run(program, to_device(host, program.abstract_state), range(9))
    middle = to_host(state)
    end, last = run(program, to_device(middle, program.abstract_state), range(9, STEPS))
    return middle, to_host(end), first + last


def test_the_level_is_held_while_the_rate_warms_up_moves_and_is_frozen(stage):
    levels = np.array([seen for seen, _ in stage[2]])
    # The weight of the rate is 1 from the step on with which the warm-up ends.
    assert (levels[: WARMUP - 1] == START).all()
    moving = levels[WARMUP - 2 : STEPS // 2]
    assert (np.diff(moving) != 0).all()
    assert (levels[STEPS // 2 - 1 :] == levels[STEPS // 2 - 1]).all()


def test_it_is_recorded_as_it_is(stage):
    for value, metrics in stage[2]:
        assert set(metrics) <= set(UNITS)
        # Float32.
        assert metrics["loss_factor"] == pytest.approx(1 + np.exp(value - 4.0), rel=1e-5)
    # The mean of one step is that step.
    first = stage[2][0][1]
    assert first["rate_error"] == pytest.approx(first["bits_per_pixel"] / 0.5 - 1, rel=1e-5)


@pytest.mark.parametrize(("target", "before", "sign"), [(1e-3, 0.0, -1), (1e6, 1e3, 1)])
def test_a_rate_above_the_target_lowers_the_loss_factor_and_one_below_raises_it(
    program, stage, target, before, sign
):
    host = with_knobs(stage[0], target=target, rate=before, level=4.0)
    after, _ = run(program, to_device(host, program.abstract_state), [9])
    assert np.sign(level(after) - 4.0) == sign


def test_interrupted_and_restored_it_ends_the_same_to_the_bit(program, stage):
    state, _ = run(program, to_device(stage[0], program.abstract_state), range(9, STEPS))
    assert_same(state, to_device(stage[1], program.abstract_state))


def test_a_skipped_step_moves_nothing(program, stage):
    params = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), stage[0].params)
    broken = eqx.tree_at(lambda host: host.params, stage[0], params)
    after, ((_, metrics),) = run(program, to_device(broken, program.abstract_state), [9])
    assert metrics["skipped_steps"] == 1
    for name in ("level", "given", "rate", "target"):
        found, expected = (
            getattr(state.knobs.decoder.weighting, name) for state in (to_host(after), stage[0])
        )
        assert found == expected


def test_bytes_per_image_and_bits_per_pixel_are_one_target():
    io = WeightingIO((8, 8))
    for target in ({"bytes_per_image": 4.0}, {"bits_per_pixel": 0.5}):
        weighting = SteeredSigmoidConfig(rate_target=target, bias=4.0).build(io)
        # 0.5 bits for each of 64 pixels; rounding of float32.
        assert float(weighting.target) == pytest.approx(32 * np.log(2), rel=1e-6)


@pytest.mark.parametrize(
    ("fields", "loss_factor", "bias"),
    [
        ({"bias": 2.0, "start": 1.7}, 1.7, 2.0),
        ({"bias": -3.0}, 3.0, -3.0),
        ({"loss_factor": 1.7, "start": 2.0}, 1.7, 2.0),
        ({"loss_factor": 2.0}, 2.0, 2 * np.log(16)),  # 2 ln(128 / 8)
    ],
)
def test_it_weighs_as_the_sigmoid_that_it_starts_with(fields, loss_factor, bias):
    config = SteeredSigmoidConfig(rate_target={"bits_per_pixel": 1.0}, **fields)
    steered, plain = config.build(WeightingIO((8, 8))), SigmoidConfig(loss_factor=loss_factor, bias=bias)
    for log_snr in (-15.0, 1.0, 2.0, 9.0):
        found, expected = (float(one(jnp.asarray(log_snr))) for one in (steered, plain.build(WeightingIO())))
        # ln and exp in float32, of numbers up to 6.
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("given", [{"bias": 2.0}, {"loss_factor": 3.0}])
def test_what_is_given_stays_and_the_other_is_found(given):
    ((name, value),) = given.items()
    weighting = SteeredSigmoidConfig(rate_target={"bits_per_pixel": 0.1}, **given).build(WeightingIO((8, 8)))
    first = {key: float(reading) for key, reading in weighting.readings().items()}
    for step in range(30):
        weighting = weighting.steered(jnp.asarray(100.0), jnp.asarray(1.0), jnp.asarray(step), 100)
    last = {key: float(reading) for key, reading in weighting.readings().items()}
    (other,) = {"loss_factor", "bias"} - {name}
    assert last[name] == pytest.approx(value, rel=1e-6)
    assert last[other] < first[other] - 0.5
    assert last["loss_factor"] > 1.0


@pytest.mark.parametrize(
    "fields",
    [{}, {"bias": 1.0, "loss_factor": 3.0}, {"bias": 1.0, "start": 1.0}, {"loss_factor": 3.0, "start": 21.0}],
)
def test_one_of_the_two_is_given_and_the_search_starts_within_bounds(fields):
    with pytest.raises(ValueError, match=r"give exactly one|start must be from"):
        SteeredSigmoidConfig(rate_target={"bits_per_pixel": 1.0}, **fields)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("{}", "got none"),
        ("{bits_per_pixel: 0.1, bytes_per_image: 2}", "got bits_per_pixel and bytes_per_image"),
        ("{bits_per_pixel: 0}", "must be greater than 0"),
        ("0.1", "expected a mapping"),
    ],
)
def test_a_target_is_one_positive_rate(builtin_registry, target, words):
    with pytest.raises(SpecError, match=words) as caught:
        parse(f"{{type: ulzoo.steered_sigmoid.v1, rate_target: {target}, bias: 4.0}}", builtin_registry)
    assert "decoder.weighting.rate_target" in str(caught.value)


def test_a_base_model_has_no_rate_to_be_steered_by(builtin_registry):
    text = SPEC.replace("{type: ulzoo.sigmoid.v1, loss_factor: 1.0, bias: 0.0}", STEERED)
    with pytest.raises(SpecError, match=r"base_model\.weighting: only a decoder's weighting can be steered"):
        check_fit(parse_spec(text, registry=builtin_registry))


def test_a_target_is_part_of_what_the_weights_depend_on(builtin_registry):
    hashes = {
        spec_hash(parse(STEERED, builtin_registry, *change))
        for change in (
            (),
            ("decoder.weighting.rate_target.bits_per_pixel=0.6",),
            ("decoder.weighting.freeze=0.4",),
        )
    }
    assert len(hashes) == 3


def test_a_rate_given_to_a_weighting_that_finds_none_is_told_where_it_belongs(builtin_registry):
    weighting = "{type: ulzoo.sigmoid.v1, rate_target: {bits_per_pixel: 0.5}, bias: 4.0}"
    with pytest.raises(SpecError, match=r"decoder\.weighting: rate_target is of ulzoo\.steered_sigmoid\.v1"):
        parse(weighting, builtin_registry)
