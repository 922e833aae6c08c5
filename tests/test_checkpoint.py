import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from ulzoo.checkpoint import Checkpoints
from ulzoo.errors import CheckpointError, DamageError

# Where a restore fails inside Orbax, its reading tasks are left behind and say so when they are collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

MANIFEST = {"spec_hash": "abc", "components": {"ulzoo.vit.v1": "ulzoo 0.1.0"}, "next_batch": 7}


class State(eqx.Module):
    """The shape of a training state: modules with None holes, optax, keys, bare leaves, an empty field."""

    params: eqx.Module
    ema: eqx.Module
    optimizer: tuple
    key: jax.Array
    keys: dict
    step: jax.Array
    empty: None
    odd: dict
    name: str = eqx.field(static=True)


def make_state(width: int = 4, seed: int = 0, layers: int = 2, dtype=jnp.float32) -> State:
    model = eqx.nn.MLP(3, 2, width, layers, key=jax.random.key(seed))
    params = eqx.filter(model, eqx.is_inexact_array)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    return State(
        params=params,
        ema=params,
        optimizer=optax.adam(1e-3).init(params),
        key=jax.random.key(seed + 1),
        keys={"rbg": jax.random.split(jax.random.key(seed, impl="rbg"), 3)},
        step=jnp.int32(seed),
        empty=None,
        odd={
            "half": jnp.full((2, 2), seed, jnp.bfloat16),
            "none": jnp.zeros((0, 3)),
            "flag": jnp.array(True),
        },
        name="state",
    )


def abstract(state):
    device = SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), state)


def bits(leaf) -> bytes:
    data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    return np.asarray(data).tobytes()


def assert_same(found, expected) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        assert bits(a) == bits(b)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A directory with steps 10 and 20, of seeds 1 and 2; not to be changed."""
    directory = tmp_path_factory.mktemp("saved") / "stage1"
    with Checkpoints(directory) as checkpoints:
        checkpoints.save(10, make_state(seed=1), MANIFEST)
        checkpoints.save(20, make_state(seed=2), MANIFEST)
    return directory


@pytest.fixture
def copy(saved, tmp_path) -> Path:
    subprocess.run(["cp", "-r", str(saved), str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"


def read(directory: Path) -> Checkpoints:
    return Checkpoints(directory, read_only=True)


def test_restores_every_bit(saved):
    with read(saved) as checkpoints:
        assert checkpoints.steps() == [10, 20]
        assert checkpoints.latest() == 20
        assert checkpoints.manifest(20) == MANIFEST
        for step, seed in ((10, 1), (20, 2)):
            restored = checkpoints.restore(step, abstract(make_state()), {"spec_hash": "abc"})
            assert type(restored) is State
            assert_same(restored, make_state(seed=seed))


def test_restores_the_sharding_that_is_asked_for(saved):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec())
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), make_state()
    )
    restored = read(saved).restore(20, target, {})
    # JAX itself writes the sharding of an array of keys in other words, P(None) for P().
    assert all(leaf.sharding.is_equivalent_to(sharding, leaf.ndim) for leaf in jax.tree.leaves(restored))


def test_restores_one_part_from_its_own_files(copy):
    for name in ("params", "optimizer", "odd"):
        subprocess.run(["rm", "-r", str(copy / "step_00000020" / name)], check=True)
    state = make_state(seed=2)
    checkpoints = read(copy)
    assert_same(checkpoints.restore_part(20, "ema", abstract(state.ema), {"spec_hash": "abc"}), state.ema)
    assert_same(checkpoints.restore_part(20, "step", abstract(state.step)), state.step)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoints.restore_part(20, "params", abstract(state.params))


def test_a_dictionary_is_a_state_too(tmp_path):
    state = {"a": jnp.arange(3), "b": [jnp.ones(2), None], "c": None}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
        checkpoints.wait()
        assert_same(checkpoints.restore(1, abstract(state), {}), state)


# ---- strictness ------------------------------------------------------------------------------------


def refusal(directory, state, expect=MANIFEST, step=20) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(directory).restore(step, abstract(state), expect)
    return str(caught.value)


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


# ---- damage ----------------------------------------------------------------------------------------


def data_files(step: Path) -> list[Path]:
    return sorted(path for path in step.rglob("*") if path.is_file())


def attempt(directory: Path) -> str:
    """Restores step 20: the message of the refusal, or "" if every bit is right."""
    try:
        restored = read(directory).restore(20, abstract(make_state()), MANIFEST)
    except CheckpointError as error:
        return str(error)
    assert_same(restored, make_state(seed=2))
    return ""


def damaged(content: bytes, kind: str) -> bytes:
    return {
        "flip": bytes([*content[:-1], content[-1] ^ 4]),
        "cut": content[: len(content) // 2],
        "empty": b"",
    }[kind]


@pytest.mark.parametrize("kind", ["flip", "cut", "empty", "delete"])
def test_damaged_files_are_errors(copy, kind):
    step = copy / "step_00000020"
    # Two fields stand for all, that the test stays quick.
    files = [
        path for path in data_files(step) if path.relative_to(step).parts[0] in ("optimizer", "manifest")
    ]
    for path in files:
        content = path.read_bytes()
        if not content:
            continue
        path.unlink()
        if kind != "delete":
            path.write_bytes(damaged(content, kind))
        # A damaged manifest cannot be read, and damaged arrays are not tried: both name the step.
        assert str(step) in attempt(copy), path
        path.write_bytes(content)
    assert attempt(copy) == ""


@pytest.mark.parametrize("kind", ["cut", "delete"])
def test_without_checksums_missing_bytes_are_errors_still(copy, kind):
    """As left by a process that was killed after the save and before the checksums."""
    step = copy / "step_00000020"
    (step / "checksums.json").unlink()
    assert attempt(copy) == ""
    for path in (step / "params").rglob("d/*"):
        content = path.read_bytes()
        path.unlink()
        if kind == "cut":
            path.write_bytes(damaged(content, kind))
    assert "params: cannot be read: " in attempt(copy)


def test_an_unreadable_checksum_file_is_damage(copy):
    (copy / "step_00000020" / "checksums.json").write_text("{")
    assert "checksums.json: unreadable" in attempt(copy)


def test_a_flipped_bit_is_named(copy):
    largest = max(data_files(copy / "step_00000020" / "params"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    message = refusal(copy, make_state())
    assert "damaged:\n" in message
    assert f"{largest.relative_to(copy / 'step_00000020')}: its content has changed" in message


def flip(step: Path) -> None:
    largest = max(data_files(step / "params"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


def test_the_latest_whole_step_is_found_and_damaged_ones_make_room(copy):
    flip(copy / "step_00000020")
    # Left from an earlier time.
    (copy / "damaged-step_00000020").mkdir()
    with Checkpoints(copy) as checkpoints:
        step, state, faults = checkpoints.restore_latest(abstract(make_state()), MANIFEST)
        assert step == 10
        assert_same(state, make_state(seed=1))
        assert [type(fault) for fault in faults] == [DamageError]
        assert str(faults[0]).startswith(f"{copy / 'step_00000020'}: damaged:\n")
        checkpoints.save(20, make_state(seed=2), MANIFEST)
    assert attempt(copy) == ""
    assert (copy / "damaged-step_00000020" / "params").is_dir()


def test_without_a_whole_step_nothing_is_touched(copy):
    for step in ("step_00000010", "step_00000020"):
        flip(copy / step)
    with Checkpoints(copy) as checkpoints:
        with pytest.raises(DamageError, match="step_00000020: damaged"):
            checkpoints.restore_latest(abstract(make_state()), MANIFEST)
        assert checkpoints.steps() == [10, 20]


def test_a_step_of_another_model_is_not_passed_over(copy):
    flip(copy / "step_00000020")
    with Checkpoints(copy) as checkpoints:
        with pytest.raises(CheckpointError, match="another model") as caught:
            checkpoints.restore_latest(abstract(make_state(width=5)), MANIFEST)
        assert not isinstance(caught.value, DamageError)
        assert checkpoints.steps() == [10, 20]


def test_no_steps_and_read_only(tmp_path, saved):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore_latest(abstract(make_state()), MANIFEST) is None
    with read(saved) as checkpoints, pytest.raises(CheckpointError, match="reading only"):
        checkpoints.restore_latest(abstract(make_state()), MANIFEST)


# ---- saving ----------------------------------------------------------------------------------------


def test_buffers_may_be_donated_at_once(tmp_path):
    advance = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)
    # Large enough (4 MiB a leaf) that writing takes longer than several steps.
    state = {f"w{index}": jnp.zeros((1024, 1024)) for index in range(4)}
    with Checkpoints(tmp_path, keep=3) as checkpoints:
        for step in range(1, 10):
            state = advance(state)
            if step % 3 == 0:
                checkpoints.save(step, state, {})
        checkpoints.wait()
        for step in (3, 6, 9):
            restored = checkpoints.restore(step, abstract(state), {})
            assert all((np.asarray(leaf) == step).all() for leaf in restored.values())


def test_keeps_the_latest_steps(tmp_path):
    with Checkpoints(tmp_path, keep=2) as checkpoints:
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


def test_a_disk_that_is_full_leaves_the_step_before(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"a": jnp.ones(4)}, {})
    checkpoints.wait()
    try:
        # Files can grow to 64 KiB, as on a disk that then is full; 1 MiB is wanted.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
        checkpoints.save(2, {"a": jnp.arange(1 << 18, dtype=jnp.float32)}, {})
        with pytest.raises(CheckpointError, match="cannot save"):
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    checkpoints.close()
    assert read(tmp_path).steps() == [1]
    with Checkpoints(tmp_path) as again:
        state = {"a": jnp.zeros(4)}
        step, restored, faults = again.restore_latest(abstract(state), {})
        assert (step, faults) == (1, [])
        assert (np.asarray(restored["a"]) == 1.0).all()
        again.save(2, state, {})
    assert read(tmp_path).steps() == [1, 2]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot save step 1"):
        Checkpoints(tmp_path / "file" / "stage1").save(1, {"a": jnp.ones(1)}, {})


def test_is_silent(tmp_path):
    script = textwrap.dedent("""
        import sys
        import jax, jax.numpy as jnp
        from ulzoo.checkpoint import Checkpoints
        state = {"a": jnp.ones(3)}
        target = {"a": jax.ShapeDtypeStruct((3,), jnp.float32, sharding=state["a"].sharding)}
        for session in range(2):
            with Checkpoints(sys.argv[1], keep=1) as checkpoints:
                checkpoints.save(session, state, {})
            Checkpoints(sys.argv[1], read_only=True).restore(session, target, {})
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ---- killed processes ------------------------------------------------------------------------------

WRITER = textwrap.dedent("""
    import sys
    import jax, jax.numpy as jnp
    from ulzoo.checkpoint import Checkpoints
    fill = jax.jit(lambda step: {f"w{index}": jnp.full((512, 1024), step, jnp.float32) for index in range(8)})
    checkpoints = Checkpoints(sys.argv[1])
    step = checkpoints.latest() or 0
    while True:
        step += 1
        checkpoints.save(step, fill(step), {"step": step})
        print(step, flush=True)
""")


def test_a_killed_process_leaves_whole_checkpoints(tmp_path):
    device = SingleDeviceSharding(jax.devices()[0])
    target = {
        f"w{index}": jax.ShapeDtypeStruct((512, 1024), jnp.float32, sharding=device) for index in range(8)
    }
    unfinished = 0
    before = 0
    # Three sessions in the same directory, killed at other points of a save (16 MiB, some 0.1 s).
    for delay in (0.0, 0.03, 0.07):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            started = [int(writer.stdout.readline()) for _ in range(3)]
            time.sleep(delay)
            writer.send_signal(signal.SIGKILL)
        unfinished += any("tmp" in path.name for path in tmp_path.iterdir())
        checkpoints = read(tmp_path)
        latest = checkpoints.latest()
        # `save` of the third step has returned, so the second is finished.
        assert latest is not None
        assert latest >= started[1] > before
        restored = checkpoints.restore(latest, target, {"step": latest})
        assert all((np.asarray(leaf) == latest).all() for leaf in restored.values())
        before = latest
    assert unfinished, "no session was killed in the middle of a save; the test shows nothing"
