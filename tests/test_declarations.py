"""Configurations without the libraries of their modules: exact, or not done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fake_site import distribution

PLUGIN = """
import typing
from collections.abc import Mapping
from functools import partial
from typing import Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import no_such_library
from no_such_library.layers import Layer
from jaxtyping import Array, Float
from pydantic import Field, field_validator

from ulzoo.interfaces import AbstractEncoder
from ulzoo.spec import Component

T = TypeVar("T", bound=eqx.Module)
Named = Mapping[str, Array]
HALF = jnp.float32(1) / 2


@partial(jax.jit, static_argnums=0)
def compiled(x: Float[Array, "n"]) -> typing.Optional[Array]:
    return jnp.sum(x)


class Module(AbstractEncoder, eqx.Module, strict=True):
    layer: Layer
    weight: Float[Array, "n"] = eqx.field(static=True)


class Config(Component):
    type: Literal["acme.ordinary.v1"] = "acme.ordinary.v1"
    width: int = Field(default=4, gt=0)

    @field_validator("width")
    @classmethod
    def even(cls, value):
        if value % 2:
            raise ValueError(f"must be even, got {value}")
        return value

    def build(self, io, *, key):
        return Module()


class Needy(Component):
    type: Literal["acme.needy.v1"] = "acme.needy.v1"
    width: int = 4

    @field_validator("width")
    @classmethod
    def even(cls, value):
        if int(jnp.asarray(value)) % 2:
            raise ValueError(f"must be even, got {value}")
        return value

    def build(self, io, *, key):
        return None
"""

PROGRAM = """
import sys
folder = sys.argv[1]
sys.path.insert(0, folder)
from ulzoo.declarations import Declarations, StandInUsed, _declared
from ulzoo.registry import Registry
found = Declarations(Registry([folder]))
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ordinary.py").write_text(PLUGIN)
    names = {"acme.ordinary.v1": "Config", "acme.needy.v1": "Needy"}
    distribution(tmp_path, "acme", "1", {"encoder": names}, "ordinary")
    return tmp_path


def python(program, folder):
    """Run in a process of its own: what is loaded here decides."""
    command = [sys.executable, "-c", PROGRAM + program, str(folder)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, timeout=60)
    assert done.returncode == 0, done.stderr


def test_an_ordinary_plugin_is_described_without_its_libraries(folder):
    python(
        """
cls = found.load("encoder", "acme.ordinary.v1")
assert cls(width=6).width == 6
try:
    cls(width=5)
except ValueError as error:
    assert "must be even, got 5" in str(error)
assert not {"jax", "numpy", "equinox", "no_such_library", "ordinary", "ulzoo.interfaces"} & set(sys.modules)
import ulzoo
assert not hasattr(ulzoo, "interfaces")
try:
    cls().build(None, key=None)
except StandInUsed:
    pass
else:
    raise AssertionError("built without its libraries")
""",
        folder,
    )


def test_a_configuration_that_needs_its_library_says_so(folder):
    python(
        """
cls = found.load("encoder", "acme.needy.v1")
try:
    cls(width=5)
except StandInUsed:
    pass
else:
    raise AssertionError("decided without its library")
""",
        folder,
    )


@pytest.mark.parametrize(
    "line",
    [
        "if jax.config.jax_enable_x64: NAME = 1",
        "assert jax.__version__ > '0'",
        "assert len(jax.devices())",
        "for device in jax.devices(): pass",
        "assert 'gpu' in jax.devices()",
        "SIZE = int(jnp.asarray(3))",
        "raise SystemExit(3)",
    ],
)
def test_what_depends_on_a_library_is_left_to_a_real_import(folder, line):
    (folder / "ordinary.py").write_text(PLUGIN + line + "\n")
    python("assert _declared(found.find('encoder', 'acme.ordinary.v1')) is None", folder)


def test_afterwards_the_real_ones_are_found(folder):
    python(
        """
before = set(sys.modules)
assert found.load("encoder", "acme.ordinary.v1")
from ulzoo.interfaces import AbstractEncoder
import equinox, jax
assert issubclass(AbstractEncoder, equinox.Module)
assert int(jax.numpy.asarray(3)) == 3
# With JAX here nothing is left out any more, and the plugin's missing library shows.
assert _declared(found.find("encoder", "acme.needy.v1")) is None
try:
    found.load("encoder", "acme.needy.v1")
except Exception as error:
    assert "No module named 'no_such_library'" in str(error)
""",
        folder,
    )


def test_all_built_in_components_can_be_declared(builtin_registry_folder):
    python(
        """
assert found.entries()
assert [entry.name for entry in found.entries() if _declared(entry) is None] == []
""",
        builtin_registry_folder,
    )


def test_declared_and_real_give_one_spec(builtin_registry_folder):
    python(
        """
from ulzoo.declarations import load_declared
from ulzoo.spec import load_spec, resolved, spec_hash
light = load_declared("specs/digits.yaml", registry=found.registry)
assert "jax" not in sys.modules
real = load_spec("specs/digits.yaml", registry=found.registry)
assert "jax" in sys.modules
assert resolved(light) == resolved(real)
assert spec_hash(light) == spec_hash(real)
""",
        builtin_registry_folder,
    )
