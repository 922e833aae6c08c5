"""`pytest --ulzoo`: built-ins keep their promises, what is found is told; without it nothing is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OWN = """
from faults import Scale
from ulzoo.spec import Component
from ulzoo.testing import failures
from typing import Literal
import jax


class Pinned(Scale):
    def __call__(self, x, *, key=None):
        place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        return jax.lax.with_sharding_constraint(x * self.weight, place)


class PinnedConfig(Component):
    '''Pins its arrays to one device.'''

    type: Literal["faulty.scale.v1"] = "faulty.scale.v1"

    def build(self, io, *, key):
        return Pinned(jax.random.normal(key, ()))


def test_a_module_that_pins_its_arrays_is_found():
    assert jax.device_count() == 2
    assert "sharding" in {failure.check for failure in failures(PinnedConfig, kind="encoder")}


"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    path = f"{Path(__file__).parent}:{Path(__file__).parents[1]}"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=500
    )


INCLUDED = {"ulzoo.digits.v1", "ulzoo.moving_digits.v1", "ulzoo.with_images.v1"}
"""Datasets that need no files."""


def test_every_builtin_keeps_its_promises(tmp_path, builtin_registry):
    """All in one process with two devices.

    Stored pictures have a test of their own; some trackers need packages of an extra.
    """
    (tmp_path / "test_own.py").write_text(OWN)
    names = [
        entry.name
        for entry in builtin_registry.entries()
        if entry.kind != "tracker" and (entry.kind != "dataset" or entry.name in INCLUDED)
    ]
    done = run(tmp_path, "-q", "test_own.py", *(f"--ulzoo={name}" for name in names))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_a_failure_is_its_message_and_the_folders_own_tests_are_left_alone(tmp_path):
    (tmp_path / "test_records.py").write_text("def test_records(): assert False")
    done = run(tmp_path, "--ulzoo", "ulzoo.image_folder.v1", "-k", "records or round_trip")
    assert done.returncode == 1
    assert "ulzoo.image_folder.v1: records: expected that each record of both splits" in done.stdout
    assert "DataError: no folder 'photos'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "1 failed, 1 passed, 6 deselected" in done.stdout


def test_an_unknown_name_is_a_mistake_in_the_call(tmp_path):
    done = run(tmp_path, "--ulzoo", "ulzoo.vti.v1")
    assert done.returncode == 4
    assert (
        "--ulzoo ulzoo.vti.v1: no component named 'ulzoo.vti.v1'; did you mean 'ulzoo.vit.v1'?" in done.stderr
    )


@pytest.mark.parametrize("module", ["ulzoo.testing.pytest_plugin", "ulzoo.testing"])
def test_without_the_option_nothing_is_loaded(module):
    program = (
        f"import sys, {module}; "
        "heavy = {name.partition('.')[0] for name in sys.modules} & {'jax', 'numpy', 'pydantic', 'yaml'}; "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
