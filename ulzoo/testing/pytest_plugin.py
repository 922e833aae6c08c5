"""`pytest --ulzoo NAME`: every check of an installed component as a test of its own.

pytest loads this module in every project that has ulzoo installed, so it imports nothing until the option is
given.
"""

from __future__ import annotations

from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("ulzoo").addoption(
        "--ulzoo",
        action="append",
        default=[],
        metavar="NAME",
        help="check an installed ulzoo component, such as acme.vit.v1, and no tests but those named",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--ulzoo"):
        _two_devices()
        # Whoever asks for a component wants no other tests of the folder they stand in, unless named too.
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    for name in dict.fromkeys(config.getoption("--ulzoo")):
        items += _items(session, name)


def _two_devices() -> None:
    """More than one device, so that sharding is checked on a machine with a CPU alone."""
    import jax

    try:
        if jax.config.jax_num_cpu_devices < 2:  # type: ignore[attr-defined]
            jax.config.update("jax_num_cpu_devices", 2)
    except RuntimeError:
        # Something has used JAX already; its devices stay as they are, and one device checks no sharding.
        pass


def _items(session: pytest.Session, name: str) -> list[pytest.Item]:
    from ulzoo.errors import UlzooError
    from ulzoo.registry import Registry
    from ulzoo.testing.conformance import applicable, prepare

    try:
        registry = Registry.discover()
        found: list[pytest.Item] = []
        for kind in registry.kinds_of(name):
            case = prepare(name, kind=kind, registry=registry)
            found += [
                ConformanceItem.from_parent(
                    session, name=f"{name}[{check}]", nodeid=f"ulzoo::{name}[{check}]", case=case, check=check
                )
                for check in applicable(kind)
            ]
    except UlzooError as error:
        raise pytest.UsageError(f"--ulzoo {name}: {error}") from error
    return found


class ConformanceItem(pytest.Item):
    """One check of one component."""

    def __init__(self, *, case: Any, check: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._case, self._check = case, check

    def runtest(self) -> None:
        from ulzoo.testing.conformance import ConformanceError, run_check

        failure = run_check(self._case, self._check)
        if failure is not None:
            raise ConformanceError([failure])

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """The message alone: the traceback would be of the kit, not of the component."""
        from ulzoo.testing.conformance import ConformanceError

        if isinstance(excinfo.value, ConformanceError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, None, str]:
        return self.config.rootpath, None, f"ulzoo: {self.name}"
