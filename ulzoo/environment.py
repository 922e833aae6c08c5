"""What a result depends on beside the spec: versions, hardware, command."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("ulzoo", "jax", "jaxlib", "equinox", "optax", "orbax-checkpoint", "grain", "numpy")


def environment(*, devices: Sequence[str], command: Sequence[str]) -> dict[str, Any]:
    """Versions of Python and of the packages that decide a result, hardware, and command.

    Imports none of the packages, so that a command that needs no arrays stays quick.
    """
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            # ulzoo itself, in a checkout that was not installed.
            versions[package] = "not installed"
    return {
        "python": platform.python_version(),
        "versions": versions,
        "hardware": {
            "system": platform.system(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "devices": list(devices),
        },
        "command": list(command),
    }
