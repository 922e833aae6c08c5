"""Where compiled programs are kept."""

import os
import time

import pytest

from ulzoo.cli.compilation_cache import use_compilation_cache


def test_under_the_users_cache(tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    use_compilation_cache(environment)
    folder = environment["JAX_COMPILATION_CACHE_DIR"]
    assert folder.startswith(str(tmp_path / "ulzoo" / "xla") + os.sep)
    # A word for the machine: the same the next time.
    again = {"XDG_CACHE_HOME": str(tmp_path)}
    use_compilation_cache(again)
    assert again == environment


@pytest.mark.parametrize("told", ["", "/elsewhere"])
def test_the_user_goes_first(tmp_path, told):
    environment = {"XDG_CACHE_HOME": str(tmp_path), "JAX_COMPILATION_CACHE_DIR": told}
    use_compilation_cache(environment)
    assert environment["JAX_COMPILATION_CACHE_DIR"] == told
    assert list(tmp_path.iterdir()) == []


def test_no_place_to_write_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    environment = {"XDG_CACHE_HOME": str(tmp_path / "file")}
    use_compilation_cache(environment)
    assert "JAX_COMPILATION_CACHE_DIR" not in environment


def test_old_programs_go(tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    use_compilation_cache(environment)
    folder = environment.pop("JAX_COMPILATION_CACHE_DIR")
    for name, days in (("old", 31), ("new", 29)):
        path = os.path.join(folder, name)
        open(path, "w").close()
        then = time.time() - days * 24 * 3600
        os.utime(path, (then, then))
    use_compilation_cache(environment)
    assert os.listdir(folder) == ["new"]
