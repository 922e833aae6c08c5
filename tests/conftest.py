"""Settings of all tests, made before JAX is imported: CPU, strict, and programs compiled once per session."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import tomllib
from importlib.metadata import version
from pathlib import Path

from ulzoo.cli.compilation_cache import use_compilation_cache

os.environ["JAX_PLATFORMS"] = "cpu"
# Raw uint32 keys are refused: a key that is used as data is found here and nowhere else.
os.environ["JAX_LEGACY_PRNG_KEY"] = "error"

# Most of what tests do is compile programs that run once on few numbers: the same functions, compiled in
# a fraction of the time. As users compile: XLA_FLAGS= JAX_DISABLE_MOST_OPTIMIZATIONS=0 python -m pytest
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if version("jaxlib").startswith("0.10."):
    # Its newer emitters compile for longer than the older ones; later versions stop at this flag.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

# What was compiled by one process of the tests, and by the last ones that ran, is compiled by no other.
# The folder is of this kind of machine, as the one for users is: compiled code is not safe on another.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    place = {"XDG_CACHE_HOME": os.path.join(home, "ulzoo", "tests")}
    use_compilation_cache(place)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = place.get("JAX_COMPILATION_CACHE_DIR", "")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

# Made by the first process, and used by the others that it starts.
if "ULZOO_TESTS_SHARED" not in os.environ:
    _shared = tempfile.mkdtemp(prefix="ulzoo-tests-")
    atexit.register(shutil.rmtree, _shared, ignore_errors=True)
    os.environ["ULZOO_TESTS_SHARED"] = _shared

import pytest
from hypothesis import settings
from two_processes import pytest_cmdline_main, pytest_collection_modifyitems  # noqa: F401

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
