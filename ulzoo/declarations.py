"""Configuration classes without the libraries that their modules compute with.

A component's configuration stands beside its Equinox module, in one file, which imports JAX: seconds, for
commands that only want fields, bounds and defaults. Here such a file is imported with stand-ins in place of
what a configuration does not need: every package but the standard library, pydantic, ulzoo and the
component's own. Afterwards whatever has seen a stand-in is forgotten, so that a later import finds the real
thing.

It is exact or it is not done: a file that does not import in this way, and a class that still needs a library
when it checks a value, are imported for real.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from ulzoo.loading import class_fault
from ulzoo.registry import Entry, Registry
from ulzoo.spec.component import Component
from ulzoo.spec.load import load_spec
from ulzoo.spec.model import Spec
from ulzoo.spec.overrides import Overrides

REAL = {
    "pydantic",
    "pydantic_core",
    "pydantic_settings",
    "annotated_types",
    "typing_extensions",
    "yaml",
    "ulzoo",
}

LEFT_OUT = {"jax", "numpy", "jaxtyping", "equinox", "optax", "torch"}
"""Where one of these is loaded already, stand-ins are not used."""


class Declarations:
    """What `ComponentOf` asks of a registry, answered without JAX where possible.

    The classes describe and check specs; they do not build.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._classes: dict[Entry, type[Component]] = {}

    def find(self, kind: str, name: str) -> Entry:
        """As `Registry.find`."""
        return self.registry.find(kind, name)

    def entries(self, kind: str | None = None) -> tuple[Entry, ...]:
        """As `Registry.entries`."""
        return self.registry.entries(kind)

    def load(self, kind: str, name: str) -> type[Component]:
        """The configuration class of a component. Raises RegistryError as `Registry.load` does."""
        entry = self.find(kind, name)
        if entry not in self._classes:
            self._classes[entry] = _declared(entry) or self.registry.load(kind, name)
        return self._classes[entry]


def load_declared(path: str | Path, overrides: Overrides = (), registry: Registry | None = None) -> Spec:
    """As `ulzoo.load_spec`, without loading JAX where possible; what it gives is for reading, not building.

    Raises:
        SpecError: with every problem found.
        RegistryError: no registry is given and ulzoo is not installed.
    """
    registry = registry or Registry.discover()
    try:
        return load_spec(path, overrides, Declarations(registry))
    except StandInUsed:
        return load_spec(path, overrides, registry)


class StandInUsed(Exception):
    """A configuration needs a library that was left out: load it for real."""


def _declared(entry: Entry) -> type[Component] | None:
    """The class of an entry, None if it cannot be had in this way."""
    if not LEFT_OUT.isdisjoint(sys.modules):
        # Little would be saved, and the real one, meeting a stand-in for another, would keep it.
        return None
    module, _, attributes = entry.target.partition(":")
    try:
        with _stand_ins(module.partition(".")[0]):
            found: Any = importlib.import_module(module)
            for attribute in attributes.split("."):
                found = getattr(found, attribute)
    except (Exception, SystemExit):
        # A real import says what is wrong, if anything is.
        return None
    return None if class_fault(entry.kind, entry.name, found) else found


class _StandIn:
    """Takes part in whatever a module does while it is imported; used later, it raises StandInUsed."""

    def __init__(self, active: list[bool]) -> None:
        self.__dict__["_active"] = active

    def _again(self) -> _StandIn:
        if not self._active:
            raise StandInUsed
        return _StandIn(self._active)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self._again()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._again()

    def __getitem__(self, item: Any) -> Any:
        return self._again()

    def __iter__(self) -> Iterator[Any]:
        # Subscription alone would make it a sequence without end.
        raise StandInUsed

    def __contains__(self, item: Any) -> bool:
        raise StandInUsed

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        self._again()
        return (type("Base", (_Base,), {}),)

    def __bool__(self) -> bool:
        # Type variables look at their bound. But whatever a component's file decides by a library's value, it
        # might decide otherwise with the real one.
        asking = sys._getframe(1).f_globals.get("__name__", "")
        if not self._active or asking.partition(".")[0] not in sys.stdlib_module_names:
            raise StandInUsed
        return True


class _Base:
    """Stands in for a library's class as a base."""

    def __init_subclass__(cls, **options: Any) -> None:
        pass

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        raise StandInUsed


def _binary(self: _StandIn, other: Any) -> Any:
    return self._again()


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "or", "and"):
    setattr(_StandIn, f"__{_name}__", _binary)
    setattr(_StandIn, f"__r{_name}__", _binary)


class _StandInModule(ModuleType):
    def __init__(self, name: str, active: list[bool]) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__all__: list[str] = []
        self.stand_in = _StandIn(active)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self.stand_in._again()


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, own: str, active: list[bool]) -> None:
        self.own, self.active = own, active

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        top = name.partition(".")[0]
        if top in REAL or top == self.own or top in sys.stdlib_module_names or _known(top):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _StandInModule(spec.name, self.active)

    def exec_module(self, module: ModuleType) -> None:
        pass


def _known(name: str) -> bool:
    return name in sys.modules and not isinstance(sys.modules[name], _StandInModule)


@contextmanager
def _stand_ins(own: str) -> Iterator[None]:
    """Imports inside find stand-ins for all packages but `own` and those that a configuration may need."""
    before = set(sys.modules)
    active = [True]
    finder = _Finder(own, active)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        active.clear()
        sys.meta_path.remove(finder)
        for name in _tainted(set(sys.modules) - before):
            module = sys.modules.pop(name)
            parent, _, attribute = name.rpartition(".")
            if parent in sys.modules and vars(sys.modules[parent]).get(attribute) is module:
                delattr(sys.modules[parent], attribute)


def _tainted(names: set[str]) -> set[str]:
    """Those of the modules that are stand-ins, or hold something of one, or of a module that does."""
    tainted = {name for name in names if isinstance(sys.modules[name], _StandInModule)}
    while True:
        found = {
            name
            for name in names - tainted
            if any(_is_of(value, tainted) for value in list(vars(sys.modules[name]).values()))
        }
        if not found:
            return tainted
        tainted |= found


def _is_of(value: Any, tainted: set[str]) -> bool:
    if isinstance(value, _StandIn | _StandInModule):
        return True
    origin = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return isinstance(origin, str) and origin in tainted
