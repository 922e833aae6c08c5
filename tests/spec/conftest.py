"""One folder of fake distributions for all spec tests."""

import sys

import pytest
from fake_site import site

from ulzoo.registry import Registry


@pytest.fixture(scope="session")
def fake_folder(tmp_path_factory):
    return site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def registry(fake_folder):
    return Registry([str(fake_folder)])


@pytest.fixture(autouse=True)
def fake_modules(fake_folder):
    """For one test at a time: the folder holds an `ulzoo` of its own, which must not hide the real one.

    Without `monkeypatch`, which puts back what `syspath_prepend` found last of all, this folder among it.
    """
    before = sys.path[:]
    sys.path.insert(0, str(fake_folder))
    yield
    sys.path[:] = before
