"""Which components are installed: entry points of the groups `ulzoo.<kind>`, ours and a stranger's alike.

A `Registry` is a value: it is made from a search path once, passed to whoever needs it, and never changes.
Making one reads metadata files only; a component's code is imported when `load` is called for it, and a
component that cannot be used harms nobody but those who use it.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import pathlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import entrypoints

from ulzoo.errors import RegistryError
from ulzoo.loading import Visible, class_fault, import_class, visible
from ulzoo.spec.component import Component

KINDS = (
    "dataset",
    "encoder",
    "network",
    "prior",
    "decoder",
    "base_model",
    "conditioner",
    "schedule",
    "weighting",
    "sampler",
    "optimizer",
    "metric",
    "tracker",
)
NAME = re.compile(r"(?P<namespace>[a-z][a-z0-9_-]*)\.[a-z0-9][a-z0-9_-]*\.v[1-9][0-9]*")
RESERVED = "ulzoo"
LOCAL = "local"


@dataclass(frozen=True)
class Entry:
    """One component as its distribution declares it.

    Attributes:
        kind: one of `KINDS`.
        name: `<namespace>.<name>.vN`.
        target: `module:Class` of its configuration.
        distribution: normalised name of the distribution, or `local` for a class registered in this process.
        version: of the distribution; empty for local ones.
    """

    kind: str
    name: str
    target: str
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """Distribution and version, as read in listings."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def refusal(self) -> str | None:
        """Why the name may not be used, or None."""
        match = NAME.fullmatch(self.name)
        if match is None:
            return "a name must read <namespace>.<name>.vN, in lower case"
        if match["namespace"] == RESERVED and not self._ours:
            return f"the namespace '{RESERVED}.' belongs to the distribution {RESERVED}"
        return None

    @property
    def _ours(self) -> bool:
        module = self.target.partition(":")[0]
        return self.distribution == RESERVED or (
            self.distribution == LOCAL and module.partition(".")[0] == RESERVED
        )


@dataclass(frozen=True)
class Status:
    """One row of a listing; `state` is "ok", "replaced", "duplicate", "refused" or "broken", `note` says
    why, or by what."""

    entry: Entry
    state: str
    note: str


class Registry:
    """The components found on a search path.

    Args:
        path: folders to search, in the manner of `sys.path`, which is the default. With the default, ulzoo
            itself must be among the distributions found.

    Raises:
        RegistryError: `path` is not given and ulzoo is not installed, so that its own components are absent.
    """

    def __init__(self, path: Sequence[str] | None = None) -> None:
        problems: list[str] = []
        self._entries = tuple(_scan(sys.path if path is None else path, problems))
        self.problems = tuple(problems)
        """What was wrong with the metadata files on the path, one sentence each."""
        self._classes: dict[Entry, type[Component]] = {}
        if path is None and not any(entry.distribution == RESERVED for entry in self._entries):
            raise RegistryError(
                "ulzoo is running from a folder that is not installed, so no component is known\n"
                "    install it, for instance with: python -m pip install -e ."
            )

    @classmethod
    def discover(cls) -> Registry:
        """The components installed in this Python environment."""
        return cls()

    def with_local(self, kind: str, *classes: type[Component]) -> Registry:
        """A registry that also knows `classes`, which need no distribution; their provenance is `local`."""
        if kind not in KINDS:
            raise RegistryError(f"no kind of component is called {kind!r}\n    kinds: {', '.join(KINDS)}")
        new = Registry.__new__(Registry)
        new.problems = self.problems
        new._classes = dict(self._classes)
        for cls in classes:
            name = cls.model_fields["type"].default
            entry = Entry(kind, str(name), f"{cls.__module__}:{cls.__qualname__}", LOCAL, "")
            if fault := entry.refusal or class_fault(kind, entry.name, cls):
                raise RegistryError(f"{cls.__module__}.{cls.__qualname__}: {fault}")
            new._classes[entry] = cls
        local = [entry for entry in new._classes if entry.distribution == LOCAL]
        new._entries = tuple(dict.fromkeys((*self._entries, *local)))
        return new

    def entries(self, kind: str | None = None) -> tuple[Entry, ...]:
        """All components (of a kind), also those that are duplicates or refused, sorted by kind and name."""
        chosen = (entry for entry in self._entries if kind in (None, entry.kind))
        return tuple(sorted(chosen, key=lambda entry: (KINDS.index(entry.kind), entry.name, entry.origin)))

    def kinds_of(self, name: str) -> tuple[str, ...]:
        """The kinds that have a component of this name, which may be written `distribution::name`.

        Raises:
            RegistryError: none has.
        """
        distribution, _, short = name.rpartition("::")
        entries = [entry for entry in self.entries() if distribution in ("", entry.distribution)]
        kinds = tuple(dict.fromkeys(entry.kind for entry in entries if entry.name == short))
        if not kinds:
            names = sorted({entry.name for entry in entries})
            # A bare word is closer in meaning to the name's middle than edit distance sees.
            near = [candidate for candidate in names if short.lower() in candidate.split(".")[1:-1]]
            near = near or difflib.get_close_matches(short, names, 1, 0.6)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise RegistryError(f"no component named {name!r}{hint}\n    list them with: ulzoo components")
        return kinds

    def find(self, kind: str, name: str) -> Entry:
        """The entry of a name, which may be written `distribution::name`; imports nothing.

        Raises:
            RegistryError: the name is unknown, ambiguous or refused.
        """
        distribution, _, short = name.rpartition("::")
        found = [
            entry
            for entry in self.entries(kind)
            if entry.name == short and distribution in ("", entry.distribution)
        ]
        if not found:
            raise RegistryError(self._unknown(kind, name, short))
        usable = [entry for entry in found if entry.refusal is None]
        if not usable:
            raise RegistryError(f"{kind} {short!r} of {found[0].origin} is refused: {found[0].refusal}")
        if len(usable) > 1:
            origins = " and ".join(entry.origin for entry in usable)
            ways = " or ".join(f"'{entry.distribution}::{short}'" for entry in usable)
            raise RegistryError(f"{kind} {short!r} is provided by {origins}\n    write {ways}")
        return usable[0]

    def load(self, kind: str, name: str) -> type[Component]:
        """The configuration class of a component; imports its module.

        Raises:
            RegistryError: as `find`, or the component is broken: its module does not import, or the class is
                not what the entry point says.
        """
        entry = self.find(kind, name)
        if entry not in self._classes:
            try:
                self._classes[entry] = import_class(kind, entry.name, entry.target)
            except RegistryError as error:
                text = f"{kind} {entry.name!r} of {entry.origin} is broken: {error}"
                raise RegistryError(text) from error.__cause__
        return self._classes[entry]

    def provenance(self, kind: str, component: Component) -> Entry:
        """Where a configuration in use comes from; one whose class no distribution declares is `local`."""
        cls, name = type(component), component.type.rpartition("::")[2]
        target = f"{cls.__module__}:{cls.__qualname__}"
        for entry in self.entries(kind):
            if entry.name == name and entry.target == target:
                return entry
        return Entry(kind, name, target, LOCAL, "")

    def status(self, *, load: bool = False) -> tuple[Status, ...]:
        """One row per entry.

        Nothing is imported, so of the broken ones only those show whose module is absent or not Python; with
        `load` every component is imported, and all show.
        """
        return tuple(self._status(entry, load) for entry in self.entries())

    def _status(self, entry: Entry, load: bool) -> Status:
        if entry.refusal is not None:
            return Status(entry, "refused", entry.refusal)
        unique = f"{entry.distribution}::{entry.name}"
        seen = Visible() if entry in self._classes else visible(entry.target)
        if load:
            try:
                self.load(entry.kind, unique)
            except RegistryError as error:
                return Status(entry, "broken", str(error))
        elif seen.fault:
            return Status(entry, "broken", seen.fault)
        others = [
            other.origin
            for other in self.entries(entry.kind)
            if other.name == entry.name and other != entry and other.refusal is None
        ]
        if others:
            return Status(entry, "duplicate", f"also in {', '.join(others)}; write '{unique}'")
        known = self._classes.get(entry)
        if successor := seen.replaced_by if known is None else known.replaced_by:
            return Status(entry, "replaced", f"use '{successor}' in new specs")
        return Status(entry, "ok", "")

    def fingerprint(self) -> str:
        """SHA-256 (hex) of what is installed: changes with any name, target, distribution or version."""
        lines = sorted("|".join((e.kind, e.name, e.target, e.distribution, e.version)) for e in self._entries)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _unknown(self, kind: str, name: str, short: str) -> str:
        usable = [entry for entry in self.entries(kind) if entry.refusal is None]
        names = list(dict.fromkeys(entry.name for entry in usable))
        near = difflib.get_close_matches(short, names, 1, 0.6)
        # A bare word is closer in meaning to the name's middle than edit distance sees.
        near = near or [candidate for candidate in names if short.lower() in candidate.split(".")]
        elsewhere = [entry.kind for entry in self._entries if entry.name == short and entry.kind != kind]
        text = f"no {kind} named {name[:80]!r}"
        if elsewhere:
            text += f"; that is {'an' if elsewhere[0][0] in 'aeiou' else 'a'} {elsewhere[0]}"
        elif near:
            origins = " or ".join(entry.origin for entry in usable if entry.name == near[0])
            text += f"; did you mean '{near[0]}' ({origins})?"
        return text + f"\n    installed: {', '.join(names) or 'none'}"


def _scan(path: Iterable[object], problems: list[str]) -> Iterator[Entry]:
    """Entries of all distributions on `path`; as with imports, the first folder that has one wins."""
    owner: dict[str, str] = {}
    seen: set[tuple[str, str, str]] = set()
    for folder in dict.fromkeys(os.fspath(part) for part in path if isinstance(part, str | os.PathLike)):
        for parser, found in _files(folder, problems):
            distribution = re.sub(r"[-_.]+", "-", found.name).lower()
            if owner.setdefault(distribution, folder) != folder:
                continue
            problems += _misnamed_groups(distribution, parser)
            for kind in KINDS:
                # Not `parser.items`: it interpolates % and lets [DEFAULT] leak into every group.
                for name, target in parser._sections.get(f"ulzoo.{kind}", {}).items():
                    # An editable install may leave an egg-info twin beside its dist-info.
                    if (distribution, kind, name) in seen:
                        continue
                    seen.add((distribution, kind, name))
                    try:
                        point = entrypoints.EntryPoint.from_string(target, name)
                    except entrypoints.BadEntryPoint:
                        point = None
                    if point is None or not point.object_name:
                        problems.append(f"{distribution}: {kind} {name!r} has no module:Class: {target!r}")
                        continue
                    where = f"{point.module_name}:{point.object_name}"
                    yield Entry(kind, name, where, distribution, found.version or "")


def _misnamed_groups(distribution: str, parser: Any) -> list[str]:
    """What is said of groups that look like ulzoo's and are of no kind."""
    told = []
    for group in parser._sections:
        word = group.removeprefix("ulzoo.")
        if word != group and word not in KINDS:
            near = difflib.get_close_matches(word, KINDS, 1, 0.6)
            hint = f"; did you mean 'ulzoo.{near[0]}'?" if near else ""
            told.append(f"{distribution}: {group!r} is no group of components{hint}")
    return told


def _files(folder: str, problems: list[str]) -> list[tuple[Any, entrypoints.Distribution]]:
    """Parsed entry_points.txt files of one folder with their distributions."""
    try:
        return list(entrypoints.iter_files_distros(path=[folder], repeated_distro="all"))
    except Exception:
        # One unreadable file, of whatever package and in whatever way, ends that iteration; so file by file.
        return list(_files_one_by_one(folder, problems))


def _files_one_by_one(folder: str, problems: list[str]) -> Iterator[tuple[Any, entrypoints.Distribution]]:
    for file in sorted(pathlib.Path(folder).glob("*-info/entry_points.txt")):
        parser = entrypoints.CaseSensitiveConfigParser(delimiters=("=",))
        try:
            parser.read_string(file.read_text(encoding="utf-8"))
        except Exception as error:
            cause = str(error).splitlines()[0] if str(error) else type(error).__name__
            problems.append(f"{file}: unreadable, its components are ignored: {cause}")
            continue
        yield parser, entrypoints.Distribution.from_name_version(file.parent.name.rpartition(".")[0])
