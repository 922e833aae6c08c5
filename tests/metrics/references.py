"""Reference implementations that the parity tests compare with, imported without torchvision.

torch-fidelity and torchmetrics import torchvision in parts that are not used here; torchvision does not go
with every torch.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
from unittest import mock

import pytest

_PARTS = ("", ".transforms", ".transforms.functional", ".datasets", ".models", ".transforms.v2")


def torch_fidelity(module):
    """A module of torch-fidelity."""
    return without_torchvision("torch_fidelity", f"torch_fidelity.{module}")


def without_torchvision(package, module):
    """A module of a package, with stand-ins for torchvision where that is not installed."""
    pytest.importorskip("torch")
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed (the extra metrics-parity)")
    missing = importlib.util.find_spec("torchvision") is None
    with mock.patch.dict(sys.modules):
        if missing:
            sys.modules |= {f"torchvision{part}": _stand_in(f"torchvision{part}") for part in _PARTS}
        return importlib.import_module(module)


def _stand_in(name):
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__getattr__ = lambda attribute: mock.MagicMock()
    return module
