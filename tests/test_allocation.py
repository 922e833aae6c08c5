"""What is freed stays with the process: asked of the kernel, in processes of their own."""

import ctypes
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ulzoo.allocation import collect_rarely, keep_memory

# Takes and frees 64 MiB several times, as steps do; tells how many pages the kernel made for the last.
PROGRAM = """\
import ctypes, os, resource
from pathlib import Path
from ulzoo.allocation import keep_memory
print(keep_memory(os.environ, Path("/nowhere")))
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    piece = library.malloc(64 << 20)
    library.memset(piece, 1, 64 << 20)
    library.free(piece)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""

# Runs a program that needs one piece of 77 MiB, as a step does; the same number, the least of sixteen runs:
# what a matrix product packs (70 MiB here) is asked for by whichever thread comes first, on a busy machine
# not always the main one, and is then not kept.
COMPUTATION = """\
import os, resource
from pathlib import Path
from ulzoo.allocation import keep_memory
print(keep_memory(os.environ, Path("/nowhere")))
import jax, jax.numpy as jnp
import ulzoo.parallel.mesh
summed = jax.jit(lambda x: jnp.sum(jax.lax.optimization_barrier(x @ x.T), axis=0))
x = jnp.ones((4500, 8))
faults = []
for _ in range(16):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    summed(x).block_until_ready()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(faults))
"""

glibc = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"),
    reason="not glibc",
)


def told(program=PROGRAM, **environment):
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "GLIBC_", "JAX_PLATFORMS"))
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    said, faults = done.stdout.split()
    return said == "True", int(faults)


@glibc
def test_what_is_freed_is_not_asked_for_again():
    said, faults = told()
    assert said
    # 16384 pages of 4 KiB, had it been given back.
    assert faults < 100


@glibc
@pytest.mark.parametrize("keeps", [True, False])
def test_the_temporaries_of_a_program_are_not_asked_for_again(keeps):
    own = {} if keeps else {"MALLOC_ARENA_MAX": "4"}
    said, faults = told(COMPUTATION, JAX_PLATFORMS="cpu", **own)
    assert said == keeps
    # 19775 pages of 4 KiB, had they been given back.
    assert faults < 100 if keeps else faults > 10_000


@glibc
@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_user_told_glibc_stays(name):
    said, faults = told(**{name: "4" if name == "MALLOC_ARENA_MAX" else "glibc.malloc.arena_max=4"})
    assert not said
    assert faults > 100


def test_not_where_an_accelerator_computes(tmp_path):
    (tmp_path / "nvidia0").touch()
    assert not keep_memory({}, tmp_path)
    assert not keep_memory({"JAX_PLATFORMS": "cuda"}, Path("/nowhere"))


@pytest.fixture
def threshold():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("before", "after"),
    [((700, 10, 10), (200_000, 10, 10)), ((500_000, 5, 5), (500_000, 5, 5)), ((0, 10, 10), (0, 10, 10))],
)
def test_garbage_is_looked_for_rarely_if_at_all(threshold, before, after):
    gc.set_threshold(*before)
    collect_rarely()
    assert gc.get_threshold() == after


def test_commands_that_compile_look_rarely(threshold, tmp_path, capsys):
    from ulzoo.cli import main

    gc.set_threshold(700, 10, 10)
    assert main(["show", "nothing.v1"]) == 2
    assert gc.get_threshold()[0] == 700
    assert main(["run", str(tmp_path / "nothing.yaml")]) == 2
    assert gc.get_threshold()[0] == 200_000
