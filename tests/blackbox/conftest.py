"""Programs of this folder run once: compiling is what takes time."""

from quick_compilation import pytest_runtest_setup, pytest_runtest_teardown  # noqa: F401
