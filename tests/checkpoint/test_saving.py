"""Saving in the background: what may be saved, and when it is there."""

import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from states import abstract, make_state, read

from ulzoo.checkpoint import Checkpoints
from ulzoo.errors import CheckpointError
from ulzoo.retention import Retention


def test_buffers_may_be_donated_at_once(tmp_path):
    advance = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)
    # Large enough (4 MiB a leaf) that writing takes longer than several steps.
    state = {f"w{index}": jnp.zeros((1024, 1024)) for index in range(4)}
    with Checkpoints(tmp_path, retention=Retention(3)) as checkpoints:
        for step in range(1, 10):
            state = advance(state)
            if step % 3 == 0:
                checkpoints.save(step, state, {})
        checkpoints.wait()
        for step in (3, 6, 9):
            restored = checkpoints.restore(step, abstract(state), {})
            assert all((np.asarray(leaf) == step).all() for leaf in restored.values())


def test_keeps_the_latest_steps(tmp_path):
    with Checkpoints(tmp_path, retention=Retention(2)) as checkpoints:
        for step in (1, 2, 5, 100):
            checkpoints.save(step, {"a": jnp.int32(step)}, {})
    assert read(tmp_path).steps() == [5, 100]
    assert all((tmp_path / f"step_{step:08d}" / "checksums.json").exists() for step in (5, 100))


def test_latest_goes_by_step_and_ignores_what_is_unfinished(copy):
    os.utime(copy / "step_00000010")
    (copy / "step_00000030.orbax-checkpoint-tmp").mkdir()
    (copy / "step_99999999").write_text("a file")
    (copy / "notes").mkdir()
    assert read(copy).latest() == 20


def test_never_saves_a_step_again(copy):
    with Checkpoints(copy) as checkpoints:
        for step in (20, 15):
            with pytest.raises(CheckpointError, match=f"cannot save step {step}, step 20 is already there"):
                checkpoints.save(step, make_state(), {})


def test_read_only_never_writes(saved):
    with read(saved) as checkpoints, pytest.raises(CheckpointError, match="reading only"):
        checkpoints.save(30, make_state(), {})


@pytest.mark.parametrize(
    ("state", "error", "text"),
    [
        ({"a": 1.0}, TypeError, "a is a float, not a JAX array"),
        ({"manifest": jnp.ones(1)}, ValueError, "named fields"),
        (jnp.ones(1), ValueError, "named fields"),
        (
            {"a": {"b": jnp.ones(1)}, "a.b": jnp.ones(1)},
            ValueError,
            "two leaves of the state are called 'a.b'",
        ),
    ],
)
def test_states_that_cannot_be_saved(tmp_path, state, error, text):
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(error, match=text):
        checkpoints.save(1, state, {})


def test_is_silent(tmp_path):
    script = textwrap.dedent("""
        import sys
        import jax, jax.numpy as jnp
        from ulzoo.checkpoint import Checkpoints
        state = {"a": jnp.ones(3)}
        target = {"a": jax.ShapeDtypeStruct((3,), jnp.float32, sharding=state["a"].sharding)}
        for session in range(2):
            with Checkpoints(sys.argv[1]) as checkpoints:
                checkpoints.save(session, state, {})
            Checkpoints(sys.argv[1], read_only=True).restore(session, target, {})
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
