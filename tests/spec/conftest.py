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
def fake_modules(fake_folder, monkeypatch):
    """For one test at a time: the folder holds an `ulzoo` of its own, which must not hide the real one."""
    monkeypatch.setattr(sys, "path", [str(fake_folder), *sys.path])
