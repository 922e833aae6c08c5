"""Programs of these tests run once on a handful of numbers: compiling them is what takes time."""

from quick_compilation import pytest_runtest_setup, pytest_runtest_teardown  # noqa: F401
