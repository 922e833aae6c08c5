"""Settings of all tests, made before JAX is imported: CPU, strict, and programs compiled once per session."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import tomllib
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
# Raw uint32 keys are refused: a key that is used as data is found here and nowhere else.
os.environ["JAX_LEGACY_PRNG_KEY"] = "error"

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # Tests that start or kill processes compile the same programs in each of them. The folder is this
    # session's own: compiled CPU code is only safe on the machine and version that it was compiled by.
    _cache = tempfile.mkdtemp(prefix="ulzoo-jax-cache-")
    atexit.register(shutil.rmtree, _cache, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import pytest
from hypothesis import settings

# The same examples every time, and no deadline: the first example pays for compilation.
settings.register_profile("ulzoo", deadline=None, derandomize=True, database=None)
settings.load_profile("ulzoo")


@pytest.fixture(scope="session")
def builtin_registry_folder(tmp_path_factory):
    """A folder with ulzoo's own entry points as pyproject.toml declares them now."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    folder = tmp_path_factory.mktemp("builtin")
    info = folder / f"ulzoo-{project['version']}.dist-info"
    info.mkdir()
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ulzoo\nVersion: {project['version']}\n")
    return folder


@pytest.fixture(scope="session")
def builtin_registry(builtin_registry_folder):
    """ulzoo's own components, whatever an installation may remember or add."""
    from ulzoo.registry import Registry

    return Registry([str(builtin_registry_folder)])
