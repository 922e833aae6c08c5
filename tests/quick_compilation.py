"""Hooks for the conftest of folders whose programs run once on few numbers: compiling is what takes time.

So it is for all tests unless they are asked to compile as users do (conftest.py), and for these folders
in any case.
"""

import os

import jax
import pytest

ELSEWHERE = os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"].lower() in ("1", "true", "yes", "on")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """XLA without its dearer passes, before any fixture: half the time to compile, the same functions."""
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    jax.config.update("jax_disable_most_optimizations", ELSEWHERE)
