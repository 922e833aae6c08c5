"""Every check finds a component that breaks its promise, and says so in one line."""

from __future__ import annotations

import pytest
from faulty import FAULTS
from faulty_configurations import Refusing

from ulzoo.errors import RegistryError, UlzooError
from ulzoo.testing import ConformanceError, check_component, failures
from ulzoo.testing.conformance import applicable, prepare, run_check
from ulzoo.testing.kinds import MODULES, OTHERS, checks_of


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name, builtin_registry):
    fault = FAULTS[name]
    case = prepare(fault.cls, fault.example, kind=fault.kind, registry=builtin_registry)
    failure = run_check(case, fault.check)
    assert failure is not None
    message = str(failure)
    assert message.startswith(f"faulty.scale.v1: {fault.check}: expected ")
    assert fault.words in message
    assert "\n" not in message


def test_every_check_has_a_fault():
    """`sharding` needs several devices: its fault is in the tests of the pytest plugin."""
    found = {(fault.kind, fault.check) for fault in FAULTS.values()}
    general = {check for _, check in found} | {"sharding"}
    for kind in (*MODULES, *OTHERS):
        own = set(checks_of(kind))
        assert own - general == set()
        # A kind's own checks are caught for that kind.
        shared = {name for name in own if sum(name in checks_of(other) for other in (*MODULES, *OTHERS)) > 1}
        assert {check for check in own - shared if (kind, check) not in found} == set()


def test_one_call_tells_all(builtin_registry):
    fault = FAULTS["NoBound"]
    with pytest.raises(ConformanceError) as caught:
        check_component(fault.cls, {"width": -1}, kind="encoder", registry=builtin_registry)
    assert isinstance(caught.value, UlzooError)
    assert str(caught.value) == (
        "faulty.scale.v1: documented: expected a bound on the number 'width', such as Field(gt=0), got none"
    )
    check_component(Refusing, kind="encoder", registry=builtin_registry)


def test_what_cannot_be_checked_is_said(builtin_registry):
    with pytest.raises(RegistryError, match=r"did you mean 'ulzoo.vit.v1'"):
        check_component("ulzoo.vot.v1", registry=builtin_registry)
    with pytest.raises(RegistryError, match="say of which kind this class is"):
        check_component(Refusing, registry=builtin_registry)
    with pytest.raises(RegistryError) as caught:
        check_component("ulzoo.ddim.v1", {"steps": 0}, registry=builtin_registry)
    assert str(caught.value) == (
        "ulzoo.ddim.v1: its example {'steps': 0} is no configuration: steps: Input should be greater than 0\n"
        "    give the class `example: ClassVar = {…}` with every required field, or pass example={…}"
    )


def test_one_device_checks_no_sharding():
    assert "sharding" not in applicable("encoder")


def test_what_cannot_be_built_is_told_once_with_its_line(builtin_registry):
    class Broken(Refusing):
        """Raises when it is built."""

        def build(self, io, *, key):
            raise ZeroDivisionError("division by zero")

    (failure,) = failures(Broken, kind="encoder", registry=builtin_registry)
    line = Broken.build.__code__.co_firstlineno + 1
    assert str(failure) == (
        "faulty.scale.v1: contract: expected that `build` gives a module of the kind's contract, whose arrays"
        f" are JAX arrays, got ZeroDivisionError: division by zero at {__file__}:{line}"
    )
