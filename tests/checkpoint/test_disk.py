"""Disks that are full or may not be written, and processes that are killed."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding
from states import abstract, read

from ulzoo.checkpoint import Checkpoints
from ulzoo.errors import CheckpointError
from ulzoo.run import Run


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


READ_ONLY = textwrap.dedent("""
    import os
    import sys
    import tempfile
    from pathlib import Path
    import jax.numpy as jnp
    import ulzoo.cli.run_command
    from ulzoo.checkpoint import Checkpoints
    from ulzoo.cli import main
    from ulzoo.errors import UlzooError
    from ulzoo.run import Run

    # Everything is imported before: the system's own user may read and write everywhere, others may not.
    with tempfile.TemporaryDirectory() as elsewhere, Checkpoints(elsewhere) as checkpoints:
        checkpoints.save(1, {"a": jnp.ones(1)}, {})
        checkpoints.wait()
        checkpoints.manifest(1)
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)

    folder = Path(sys.argv[1])

    def save():
        with Checkpoints(folder / "run" / "checkpoints" / "stage1") as checkpoints:
            checkpoints.save(2, {"a": jnp.ones(1)}, {})

    for attempt in (
        lambda: Run.open(folder / "run", write=True),
        lambda: Run.create(
            folder / "new", name="a", spec_text="", resolved_text="", spec_hash="", components={}
        ),
        save,
    ):
        try:
            attempt()
            print("written")
        except UlzooError as error:
            print(str(error).splitlines()[0])
    print(main(["run", "--resume", str(folder / "run")]))
    # And reading goes on.
    checkpoints = Checkpoints(folder / "run" / "checkpoints" / "stage1", read_only=True)
    print(Run.open(folder / "run").finished(), checkpoints.latest())
""")


def test_a_directory_that_may_not_be_written_is_refused_and_can_be_read():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Run.create(
            folder / "run", name="a", spec_text="", resolved_text="", spec_hash="", components={}
        ) as run:
            with Checkpoints(run.checkpoints(1)) as checkpoints:
                checkpoints.save(1, {"a": jnp.ones(1)}, {})
            run.mark_finished("stage1")
        every = [folder, *folder.rglob("*")]
        for path in every:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            done = subprocess.run(
                [sys.executable, "-c", READ_ONLY, name],
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
                env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "0"},
            )
        finally:
            for path in every:
                path.chmod(0o755 if path.is_dir() else 0o644)
    lines = done.stdout.splitlines()
    assert lines == [
        f"{folder}/run: cannot be written: Permission denied",
        f"{folder}/new: cannot make a run directory: Permission denied",
        lines[2],
        "2",
        "('stage1',) 1",
    ], done.stderr[-3000:]
    assert lines[2].startswith(f"{folder}/run/checkpoints/stage1: cannot save step 2: ")
    assert "Permission denied" in lines[2]
    assert "Traceback" not in done.stderr
