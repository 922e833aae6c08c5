"""Communication read from HLO text: a module written for this test, and one that XLA compiled here."""

import subprocess
import sys

import pytest

from ulzoo.planning.collectives import collectives, shape_bytes

MODULE = """\
HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[8,128]{1,0:T(8,128)})->f32[8,128]{1,0}}

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%fused_send (p0: bf16[16,64]) -> bf16[16,64] {
  %p0 = bf16[16,64]{1,0} parameter(0)
  ROOT %permute = bf16[16,64]{1,0} collective-permute(%p0), channel_id=9, source_target_pairs={{0,1},{1,0}}
}

%body (state: (s32[], f32[2,64], f32[8,64])) -> (s32[], f32[2,64], f32[8,64]) {
  %state = (s32[], f32[2,64]{1,0}, f32[8,64]{1,0}) parameter(0)
  %shard = f32[2,64]{1,0} get-tuple-element(%state), index=1
  %gathered.1 = f32[8,64]{1,0:T(8,128)} all-gather(%shard), channel_id=1, dimensions={0}
  ROOT %next = (s32[], f32[2,64]{1,0}, f32[8,64]{1,0}) tuple(%shard, %gathered.1)
}

%condition (state.2: (s32[], f32[2,64], f32[8,64])) -> pred[] {
  %state.2 = (s32[], f32[2,64]{1,0}, f32[8,64]{1,0}) parameter(0)
  ROOT %less = pred[] constant(true)
}

ENTRY %main.42 (x: f32[8,128], h: bf16[16,64]) -> f32[8,128] {
  %x = f32[8,128]{1,0} parameter(0), sharding={replicated}
  %h = bf16[16,64]{1,0} parameter(1)
  %looped = (s32[], f32[2,64]{1,0}, f32[8,64]{1,0}) while(%x), LOOP
  %sent = bf16[16,64]{1,0} fusion(%h), kind=kLoop, calls=%fused_send
  %both = (f32[8,128]{1,0}, bf16[3]{0}) all-reduce(%x, %h), channel_id=2, to_apply=%add
  %started = (bf16[4,64]{1,0}, bf16[16,64]{1,0}) all-gather-start(%h), channel_id=3, dimensions={0}
  %finished = bf16[16,64]{1,0} all-gather-done(%started)
  %reducing = f32[8,128]{1,0} all-reduce-start(%x), channel_id=4, to_apply=%add
  %reduced = f32[8,128]{1,0} all-reduce-done(%reducing)
  ROOT %scattered = f32[2,128]{1,0} reduce-scatter(%x), channel_id=5, dimensions={0}, to_apply=%add
}
""".replace(
    "LOOP",
    'condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"6"},'
    '"known_init_step":{"init":"0","step":"1"}}',
)


LONG_STATE = "(s32[], f32[2,64], f32[8,64])"


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        ("f32[8,128]{1,0:T(8,128)}", 4096),
        ("bf16[3]{0}", 6),
        ("pred[]", 1),
        ("(f32[2]{0}, (s8[5]{0}, u4[3]{0}))", 8 + 5 + 2),
        ("f8e4m3fn[16]", 16),
        ("token[]", 0),
    ],
)
def test_bytes_of_a_shape(shape, count):
    assert shape_bytes(shape) == count


def test_counts_bytes_and_loops():
    found = {kind.kind: (kind.count, kind.bytes, kind.written) for kind in collectives(MODULE)}
    assert found == {
        # Six rounds of the loop, and the pair at the end, whose result alone counts.
        "all-gather": (7, 6 * 4 * 8 * 64 + 2 * 16 * 64, 2),
        "all-reduce": (2, (4 * 8 * 128 + 2 * 3) + 4 * 8 * 128, 2),
        "reduce-scatter": (1, 4 * 2 * 128, 1),
        "collective-permute": (1, 2 * 16 * 64, 1),
    }


def test_places_in_long_tuples_are_comments():
    """XLA numbers every fifth part of a tuple, in the head of a loop's body too."""
    long = MODULE.replace(f"(state: {LONG_STATE}) ->", f"(state: {LONG_STATE[:-1]}, /*index=3*/f32[1])) ->")
    assert "/*index=3*/" in long
    assert collectives(long) == collectives(MODULE)


@pytest.mark.parametrize("constant", ["%most", "s32[]{:T(128)} %most"])
def test_a_loop_that_says_nothing_but_ends_at_a_constant(constant):
    """As the TPU's compiler writes them."""
    silent = MODULE.replace('"known_trip_count":{"n":"6"},', "").replace(
        "  ROOT %less = pred[] constant(true)\n",
        "  %most = s32[]{:T(128)} constant(6)\n"
        "  %other = s32[] constant(9)\n"
        "  %count = s32[]{:T(128)} get-tuple-element(%state.2), index=0\n"
        f"  ROOT %less = pred[]{{:T(512)}} compare(%count, {constant}), direction=LT, metadata={{}}\n",
    )
    assert "known_trip" not in silent
    assert collectives(silent) == collectives(MODULE)
    other = silent.replace("direction=LT", "direction=NE")
    assert next(kind for kind in collectives(other) if kind.kind == "all-gather").count == 2


def test_a_loop_of_unknown_length_counts_once():
    unknown = MODULE.replace('"known_trip_count":{"n":"6"},', "")
    gathers = next(kind for kind in collectives(unknown) if kind.kind == "all-gather")
    assert (gathers.count, gathers.written) == (2, 2)


def test_other_text_is_refused_and_silence_is_an_answer():
    with pytest.raises(ValueError, match="no ENTRY"):
        collectives("module @jit_step {}")
    assert (
        collectives("HloModule m\n\nENTRY %main (x: f32[]) -> f32[] {\n  %x = f32[] parameter(0)\n}\n") == []
    )


COMPILED = """
import jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from ulzoo.planning.collectives import collectives
jax.config.update("jax_num_cpu_devices", 4)
mesh = jax.make_mesh((4,), ("fsdp",), axis_types=(AxisType.Auto,))
w = jax.ShapeDtypeStruct((5, 64, 64), jnp.float32, sharding=NamedSharding(mesh, P(None, "fsdp")))
x = jax.ShapeDtypeStruct((8, 64), jnp.float32, sharding=NamedSharding(mesh, P()))
whole = NamedSharding(mesh, P())
def layer(x, w):
    x, w = jax.lax.with_sharding_constraint((x, w), whole)
    return jnp.tanh(x @ w), None
fn = jax.jit(lambda w, x: jax.lax.scan(layer, x, w)[0], out_shardings=whole)
for kind in collectives(fn.lower(w, x).compile().as_text()):
    print(kind.kind, kind.count, kind.bytes)
"""


def test_a_loop_that_xla_compiled():
    """Five layers whose matrices are gathered: however XLA writes it, five of them arrive on each device."""
    command = [sys.executable, "-c", COMPILED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert sum(int(size) for kind, _, size in rows if kind == "all-gather") == 5 * 4 * 64 * 64
