"""Programs of these tests run once on a handful of numbers: compiling them is what takes time."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def _quickly_compiled():
    """XLA without its dearer passes: half the time to compile, the same functions."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
