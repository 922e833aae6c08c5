"""Memory that a step on CPU frees is kept for the next step.

XLA asks for a program's temporaries anew at every call. Such large pieces glibc takes from the kernel and
gives back at once, so that every step waits for its pages to be filled with zeros once more: a fifth to a
third of a step, as `docs/explanation/speed.md` has it.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Mapping
from pathlib import Path

# Of malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_OBJECTS = 200_000
_ACCELERATORS = ("nvidia[0-9]*", "kfd", "accel*", "vfio/[0-9]*")

_kept = False
"""Whether `keep_memory` has told glibc: for JAX, which commands load only later."""


def keep_memory(environment: Mapping[str, str], devices: Path = Path("/dev")) -> bool:
    """Tell glibc to keep what is freed, unless the user told it something; whether it was told.

    To be called before JAX computes anything; loads no JAX. Where an accelerator computes, or without glibc,
    nothing is done.
    """
    if not sys.platform.startswith("linux") or _is_told(environment) or _accelerated(environment, devices):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    # Not one arena for all threads (M_ARENA_MAX) instead: steps of small programs would then search through
    # what compiling has left there.
    if not all(library.mallopt(name, value) for name, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))):
        return False
    global _kept
    _kept = True
    if "jax" in sys.modules:
        compute_where_kept()
    return True


def compute_where_kept() -> None:
    """Where memory is kept, let JAX run programs in the thread that calls it: what any but the main one takes
    above 64 MiB, glibc takes from the kernel whatever it was told.

    `ulzoo.parallel.mesh` calls it when it is loaded: before anything of `ulzoo` computes.
    """
    if _kept:
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)


def collect_rarely() -> None:
    """Let Python look for circles of garbage after 200,000 new objects, not after 700 (or as set, if later).

    Tracing a program makes objects by the million, nearly all of which stay for its time: looking through
    them again and again took an eighth of the time from command to first step.
    """
    first, *older = gc.get_threshold()
    # 0: it is switched off.
    if 0 < first < _OBJECTS:
        gc.set_threshold(_OBJECTS, *older)


def _is_told(environment: Mapping[str, str]) -> bool:
    return "glibc.malloc" in environment.get("GLIBC_TUNABLES", "") or any(
        name.startswith("MALLOC_") for name in environment
    )


def _accelerated(environment: Mapping[str, str], devices: Path) -> bool:
    platforms = environment.get("JAX_PLATFORMS", "")
    if platforms:
        return platforms != "cpu"
    return any(next(devices.glob(pattern), None) is not None for pattern in _ACCELERATORS)
