"""Folder's settings."""

from quick_compilation import pytest_runtest_setup, pytest_runtest_teardown  # noqa: F401
