"""Reference implementations that the parity tests compare with, imported without torchvision.

torch-fidelity imports torchvision in parts that are not used here; torchvision does not go with every torch.
"""

from __future__ import annotations

import importlib
import sys
from unittest import mock

import pytest

_PARTS = ("", ".transforms", ".transforms.functional", ".datasets", ".models", ".transforms.v2")


def torch_fidelity(module):
    """A module of torch-fidelity, with stand-ins for torchvision where that is not installed."""
    pytest.importorskip("torch")
    if importlib.util.find_spec("torch_fidelity") is None:
        pytest.skip("torch-fidelity is not installed (the extra metrics-parity)")
    missing = importlib.util.find_spec("torchvision") is None
    stand_ins = {f"torchvision{part}": mock.MagicMock() for part in _PARTS} if missing else {}
    with mock.patch.dict(sys.modules):
        sys.modules |= stand_ins
        found = importlib.import_module(f"torch_fidelity.{module}")
    return found
