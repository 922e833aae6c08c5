"""Hooks that run the whole suite in two processes, if pytest-xdist is there; parts of it stay in one."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TOGETHER = {"programs"}
"""Folders whose fixtures are dear: their files stay in one process."""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Two, for `python -m pytest` without a file, a folder, a number of processes or a debugger."""
    option = config.option
    # Workers run this hook, too: they must not start workers of their own.
    if not config.pluginmanager.hasplugin("xdist") or hasattr(config, "workerinput") or option.tx:
        return
    # xdist's own hook, which reads both, comes after this one.
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    if whole and option.numprocesses is None and not (option.usepdb or option.collectonly):
        option.numprocesses = 2
    if option.numprocesses and option.dist == "no":
        option.dist = "loadgroup"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of a file share its fixtures, and so a process."""
    for item in items if config.pluginmanager.hasplugin("xdist") else ():
        if item.path.is_relative_to(TESTS):
            folder, *rest = item.path.relative_to(TESTS).parts
            item.add_marker(
                pytest.mark.xdist_group(folder if folder in TOGETHER else "/".join([folder, *rest]))
            )
