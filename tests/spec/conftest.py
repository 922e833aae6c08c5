"""One folder of fake distributions for all spec tests."""

import sys

import pytest
from fake_site import site

from ulzoo.registry import Registry


@pytest.fixture(scope="session")
def fake_folder(tmp_path_factory):
    folder = site(tmp_path_factory.mktemp("site"))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def registry(fake_folder):
    return Registry([str(fake_folder)])
