"""From an entry point's target to the configuration class, and what can be wrong on the way."""

from __future__ import annotations

import ast
import importlib
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import get_args

from ulzoo.errors import RegistryError, raised_at
from ulzoo.spec.component import Component


def import_class(kind: str, name: str, target: str) -> type[Component]:
    """The class at `module:Class`, checked to be the configuration of `name`.

    Raises:
        RegistryError: with cause, file and line when the import fails, or saying what the class lacks.
    """
    module, _, attributes = target.partition(":")
    try:
        found: object = importlib.import_module(module)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except (Exception, SystemExit) as error:
        # Whatever a stranger's module does on import must not end the listing of the others.
        text = f"{type(error).__name__}: {error}\n    while importing {target}{raised_at(error)}"
        raise RegistryError(text) from error
    if fault := class_fault(kind, name, found):
        raise RegistryError(f"{target} {fault}")
    assert isinstance(found, type)
    return found


def class_fault(kind: str, name: str, cls: object) -> str | None:
    """What keeps a class from being the configuration of `name`, or None."""
    if not (isinstance(cls, type) and issubclass(cls, Component)):
        return "is not a subclass of ulzoo.spec.Component"
    field = cls.model_fields["type"]
    if get_args(field.annotation) != (name,) or field.default != name:
        return f"must declare type: Literal[{name!r}] = {name!r}"
    needed = ("io", "open") if kind == "dataset" else ("build",)
    absent = [method for method in needed if not callable(getattr(cls, method, None))]
    return f"has no method {' and no '.join(absent)}" if absent else None


@dataclass(frozen=True)
class Visible:
    """What can be seen of a target without importing anything.

    Attributes:
        fault: what is wrong with it, or None.
        replaced_by: the class's `replaced_by`, if that is written as plain text.
    """

    fault: str | None = None
    replaced_by: str | None = None


def visible(target: str) -> Visible:
    """Look at the source that a target leads to."""
    names = target.partition(":")[0].split(".")
    path = None
    spec: ModuleSpec | None = None
    for depth in range(len(names)):
        module = ".".join(names[: depth + 1])
        spec = _spec(module, path)
        if spec is None:
            return Visible(f"no module named {module!r}")
        path = spec.submodule_search_locations
        if path is None and depth + 1 < len(names):
            return Visible(f"{module!r} is not a package")
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return Visible()
    try:
        source = ast.parse(Path(spec.origin).read_bytes(), spec.origin)
    except SyntaxError as error:
        return Visible(f"SyntaxError: {error.msg}{raised_at(error)}")
    except (OSError, ValueError) as error:
        return Visible(f"unreadable {spec.origin}: {error}")
    return Visible(replaced_by=_replaced_by(source, target.rpartition(":")[2].rpartition(".")[2]))


def _replaced_by(source: ast.Module, cls: str) -> str | None:
    for node in ast.walk(source):
        if isinstance(node, ast.ClassDef) and node.name == cls:
            for line in node.body:
                names = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
                value = getattr(line, "value", None)
                named = any(isinstance(name, ast.Name) and name.id == "replaced_by" for name in names)
                if named and isinstance(value, ast.Constant) and isinstance(value.value, str):
                    return value.value
    return None


def _spec(module: str, path: object) -> ModuleSpec | None:
    # `importlib.util.find_spec` would import the parent packages.
    if module in sys.modules and (known := sys.modules[module].__spec__) is not None:
        return known
    for finder in sys.meta_path:
        if spec := finder.find_spec(module, path):  # type: ignore[arg-type]
            return spec
    return None
