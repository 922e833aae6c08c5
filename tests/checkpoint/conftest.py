"""One directory of checkpoints for all tests of this folder."""

import subprocess
from pathlib import Path

import pytest
from states import MANIFEST, make_state

from ulzoo.checkpoint import Checkpoints


@pytest.fixture(scope="session")
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
