"""Hooks for the conftest of folders whose programs run once on few numbers: compiling is what takes time."""

import jax
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """XLA without its dearer passes, before any fixture: half the time to compile, the same functions."""
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    jax.config.update("jax_disable_most_optimizations", False)
