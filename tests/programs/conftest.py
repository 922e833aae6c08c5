"""Programs are compiled once for all tests of this folder."""

from dataclasses import dataclass
from typing import Any

import jax
import pytest
from quick_compilation import pytest_runtest_setup, pytest_runtest_teardown  # noqa: F401
from tiny import SPEC, counted, to_device, to_host

from ulzoo.assemble import assemble
from ulzoo.interfaces import OptimizerIO
from ulzoo.parallel.mesh import make_mesh
from ulzoo.programs.stage1 import stage1
from ulzoo.programs.stage2 import stage2
from ulzoo.spec import parse_spec


@dataclass(frozen=True)
class Compiled:
    """A program, its first state on the host, and a list that grows with every trace of its step."""

    program: Any
    first: Any
    traces: list[int]

    def state(self, host=None):
        """A state of its own for each test: a step donates what it is given."""
        return to_device(self.first if host is None else host, self.program.abstract_state)


@pytest.fixture(scope="session")
def spec(builtin_registry):
    return parse_spec(SPEC, registry=builtin_registry)


@pytest.fixture(scope="session")
def assembly(spec):
    return assemble(spec)


@pytest.fixture(scope="session")
def mesh():
    return make_mesh()


@pytest.fixture(scope="session")
def first_stage(spec, assembly, mesh):
    optimizer, traces = counted(spec.stage1.optimizer.build(OptimizerIO(spec.stage1.steps), key=None))
    program = stage1(assembly, spec.stage1, mesh=mesh, optimizer=optimizer)
    return Compiled(program, to_host(program.init(jax.random.key(0))), traces)


@pytest.fixture(scope="session")
def second_stage(spec, assembly, mesh, first_stage):
    optimizer, traces = counted(spec.stage2.optimizer.build(OptimizerIO(spec.stage2.steps), key=None))
    autoencoder = first_stage.program.modules(first_stage.state())
    program = stage2(assembly, spec.stage2, autoencoder, mesh=mesh, optimizer=optimizer)
    return Compiled(program, to_host(program.init(jax.random.key(1))), traces)
