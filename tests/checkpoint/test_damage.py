"""Files that are missing, cut or changed are found, and the step before is used."""

import shutil

import pytest
from states import MANIFEST, abstract, assert_same, attempt, data_files, flip, make_state, read, refusal

from ulzoo.checkpoint import Checkpoints
from ulzoo.errors import CheckpointError, DamageError

# Where a restore fails inside Orbax, its reading tasks are left behind and say so when they are collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


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


def test_a_missing_shard_is_named(copy):
    """All that one process wrote of one part."""
    step = copy / "step_00000020"
    shard = step / "params" / "ocdbt.process_0"
    assert any(shard.rglob("*"))
    shutil.rmtree(shard)
    message = refusal(copy, make_state())
    assert message.startswith(f"{step}: damaged:\n")
    assert "params/ocdbt.process_0/" in message
    assert ": missing" in message


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
