"""Unified Latents (Heek et al. 2026, arXiv 2602.17270) as a declarative model zoo.

Names load on first use: importing this package loads neither JAX nor NumPy.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ulzoo.assemble import Assembly, assemble
    from ulzoo.autoencoder import Autoencoder
    from ulzoo.data.pipeline import batches
    from ulzoo.errors import UlzooError
    from ulzoo.experiment import Experiment
    from ulzoo.explanation import Explanation, explain
    from ulzoo.export.functions import export_functions
    from ulzoo.export.runs import weights_of
    from ulzoo.export.weights import Weights, load_weights, save_weights
    from ulzoo.inspection import inspect
    from ulzoo.planning.plan import Plan, plan
    from ulzoo.programs.generate import generate
    from ulzoo.programs.measure import keys_for, rates, reconstruct
    from ulzoo.programs.program import Program, to_images, to_model
    from ulzoo.programs.stage1 import stage1
    from ulzoo.programs.stage2 import stage2
    from ulzoo.registry import Registry
    from ulzoo.run import Run
    from ulzoo.schema import json_schema
    from ulzoo.spec import Spec, dump_yaml, load_spec, parse_spec, spec_hash
    from ulzoo.stages import create_run, evaluation_of, run_all, spec_of
    from ulzoo.train import train

_NAMES = {
    "ulzoo.assemble": ("Assembly", "assemble"),
    "ulzoo.autoencoder": ("Autoencoder",),
    "ulzoo.data.pipeline": ("batches",),
    "ulzoo.errors": ("UlzooError",),
    "ulzoo.experiment": ("Experiment",),
    "ulzoo.explanation": ("Explanation", "explain"),
    "ulzoo.export.functions": ("export_functions",),
    "ulzoo.export.runs": ("weights_of",),
    "ulzoo.export.weights": ("Weights", "load_weights", "save_weights"),
    "ulzoo.inspection": ("inspect",),
    "ulzoo.planning.plan": ("Plan", "plan"),
    "ulzoo.programs.generate": ("generate",),
    "ulzoo.programs.measure": ("keys_for", "rates", "reconstruct"),
    "ulzoo.programs.program": ("Program", "to_images", "to_model"),
    "ulzoo.programs.stage1": ("stage1",),
    "ulzoo.programs.stage2": ("stage2",),
    "ulzoo.registry": ("Registry",),
    "ulzoo.run": ("Run",),
    "ulzoo.schema": ("json_schema",),
    "ulzoo.spec": ("Spec", "dump_yaml", "load_spec", "parse_spec", "spec_hash"),
    "ulzoo.stages": ("create_run", "evaluation_of", "run_all", "spec_of"),
    "ulzoo.train": ("train",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "Assembly",
    "Autoencoder",
    "Experiment",
    "Explanation",
    "Plan",
    "Program",
    "Registry",
    "Run",
    "Spec",
    "UlzooError",
    "Weights",
    "assemble",
    "batches",
    "create_run",
    "dump_yaml",
    "evaluation_of",
    "explain",
    "export_functions",
    "generate",
    "inspect",
    "json_schema",
    "keys_for",
    "load_spec",
    "load_weights",
    "parse_spec",
    "plan",
    "rates",
    "reconstruct",
    "run_all",
    "save_weights",
    "spec_hash",
    "spec_of",
    "stage1",
    "stage2",
    "to_images",
    "to_model",
    "train",
    "weights_of",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """`assemble` and `train` are functions in modules of their own name: `ulzoo.assemble` is the function.

    Whoever imports such a module first, the import system binds the module to the name in this package.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and _MODULES.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
