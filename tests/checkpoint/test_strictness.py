"""A checkpoint of another spec, tree, shape or dtype is refused, and what differs is named."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from states import make_state, read, refusal


def test_other_shapes_are_named(saved):
    message = refusal(saved, make_state(width=5))
    assert message.startswith(f"{saved / 'step_00000020'}: this checkpoint is of another model or spec:\n")
    assert "    ema.layers.0.weight: saved (4, 3) float32, expected (5, 3) float32\n" in message


def test_other_dtypes_are_never_cast(saved):
    message = refusal(saved, make_state(dtype=jnp.bfloat16))
    assert "ema.layers.0.bias: saved (4,) float32, expected (4,) bfloat16" in message


def test_other_trees_are_never_restored_in_part(saved):
    fewer = refusal(saved, make_state(layers=1))
    assert "ema.layers.2.weight: in the checkpoint as (2, 4) float32, not expected" in fewer
    more = refusal(saved, make_state(layers=3))
    assert "ema.layers.3.bias: expected (2,) float32, not in the checkpoint" in more
    renamed = eqx.tree_at(lambda state: state.odd, make_state(), {"Half": jnp.zeros((2, 2), jnp.bfloat16)})
    assert "odd.half" in refusal(saved, renamed)


def test_other_key_generators_are_refused(saved):
    other = eqx.tree_at(lambda state: state.key, make_state(), jax.random.key(0, impl="rbg"))
    assert "key: saved () key<fry>, expected () key<rbg>" in refusal(saved, other)


def test_long_reports_say_how_much_they_leave_out(saved):
    message = refusal(saved, make_state(width=5))
    lines = message.splitlines()
    # 5 leaves change with the width (the last bias does not), in params, EMA and Adam's two moments.
    assert len(lines) == 1 + 10 + 1
    assert lines[-1] == "    and 10 more"


def test_other_manifests_are_refused(saved):
    assert "spec_hash: saved 'abc', expected 'abd'" in refusal(saved, make_state(), {"spec_hash": "abd"})
    assert "device: expected 'cpu', not in the checkpoint" in refusal(saved, make_state(), {"device": "cpu"})
    other_version = refusal(saved, make_state(), {"components": {"ulzoo.vit.v1": "ulzoo 0.2.0"}})
    assert "components.ulzoo.vit.v1: saved 'ulzoo 0.1.0', expected 'ulzoo 0.2.0'" in other_version
    assert "components.ulzoo.vit.v1: saved 'ulzoo 0.1.0', not expected" in refusal(
        saved, make_state(), {"components": {}}
    )


def test_missing_steps_say_what_is_there(saved, tmp_path):
    assert "no finished checkpoint of step 15; there: 10, 20" in refusal(saved, make_state(), step=15)
    assert "there: none" in refusal(tmp_path / "absent", make_state())
    assert read(tmp_path / "absent").latest() is None


def test_an_array_without_sharding_is_a_mistake_of_the_caller(saved):
    target = eqx.filter_eval_shape(lambda: make_state())
    with pytest.raises(ValueError, match="sharding"):
        read(saved).restore(20, target, {})
