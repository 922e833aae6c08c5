"""Modules whose computations carry their place in the model, so that a traced value can be told by it."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

import equinox as eqx
import jax

ModuleT = TypeVar("ModuleT")

_MARK = "module:"
_PLACE = re.compile(rf"{_MARK}([^()/]*)")
_LAYER = re.compile(r"layer(\d+)")


def named(module: ModuleT, path: str) -> ModuleT:
    """The same modules, leaf by leaf, each computing inside a `jax.named_scope` of its dotted path.

    Every module becomes an instance of a subclass of its class, made for its path: classes are what survives
    `vmap`, `scan` and the partition into arrays and code, instances do not. What is no module stays as it is.

    Args:
        path: of `module` itself, such as `decoder`; its parts are called `decoder.network` and so on.
    """

    def part(where: Any, leaf: Any) -> Any:
        if not _is_module(leaf):
            return leaf
        name = jax.tree_util.keystr(where, simple=True, separator=".")
        return named(leaf, f"{path}.{name}".strip("."))

    parts = jax.tree_util.tree_map_with_path(
        part, module, is_leaf=lambda node: node is not module and _is_module(node)
    )
    return _placed(parts, path) if _is_module(module) and path else parts


def place_of(scopes: str) -> tuple[str, int | None]:
    """Dotted path of the innermost module in a stack of scopes, "" outside of all, and the layer in it.

    The layer is the one that a `Stack` writes out; of a loop, its iteration says as much.
    """
    places = list(_PLACE.finditer(scopes))
    place = places[-1][1] if places else ""
    layers = _LAYER.findall(scopes)
    return place, int(layers[-1]) if layers else None


def _is_module(node: Any) -> bool:
    # Bound methods and wrapped functions are modules of Equinox's own; they have no place.
    return isinstance(node, eqx.Module) and not type(node).__module__.startswith("equinox._")


def _placed(module: Any, path: str) -> Any:
    known: Any = type(module)
    copy = object.__new__(_class_at(known, path))
    copy.__dict__.update(module.__dict__)
    return copy


# Modules that are made again must be of the same class: trees are compared by it.
@functools.cache
def _class_at(known: Any, path: str) -> Any:
    methods = {
        name: _inside(path, function)
        for name in dir(known)
        if isinstance(function := inspect.getattr_static(known, name), FunctionType)
        and (name == "__call__" or not name.startswith("__"))
    }
    return type(known)(known.__name__, (known,), {"__module__": known.__module__, **methods})


def _inside(path: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def scoped(*args: Any, **kwargs: Any) -> Any:
        with jax.named_scope(_MARK + path):
            return function(*args, **kwargs)

    return scoped
