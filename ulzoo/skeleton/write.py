"""Writes a distribution with one component that works as written: to be changed, not to be filled in."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from ulzoo.errors import RegistryError, RunError
from ulzoo.registry import NAME, RESERVED
from ulzoo.skeleton.fragments import fragments
from ulzoo.spec.messages import nearest

_TEMPLATES = files("ulzoo.skeleton")


def kinds() -> tuple[str, ...]:
    """The kinds that there is a skeleton for."""
    suffix = ".config.template"
    names = (path.name for path in (_TEMPLATES / "kinds").iterdir())
    return tuple(sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix)))


def spec_file(kind: str) -> str:
    """Where a generated distribution has its spec."""
    return "specs/small.yaml" if kind == "dataset" else "specs/digits.yaml"


@dataclass(frozen=True)
class Names:
    """What is called how in a generated distribution."""

    name: str
    distribution: str
    module: str
    cls: str

    @classmethod
    def of(cls, name: str) -> Names:
        """Names for a component, whose own may leave `.v1` out.

        Raises:
            RegistryError: no component may have this name, or its module would hide another one.
        """
        full = name if NAME.fullmatch(name) else f"{name}.v1"
        match = NAME.fullmatch(full)
        # `acme.v1` lacks a namespace; with a version of its own, `v1` would become the name.
        if match is None or (full != name and re.fullmatch(r".*\.v\d+", name)):
            raise RegistryError(
                f"{name!r} cannot be the name of a component\n"
                "    a name reads <namespace>.<name>.vN, in lower case, such as acme.patches.v1"
            )
        if match["namespace"] == RESERVED:
            raise RegistryError(
                f"{name!r}: the namespace '{RESERVED}.' belongs to the distribution {RESERVED}\n"
                "    take a word of your own, such as your group's or project's"
            )
        words = re.findall(r"[a-z0-9]+", full.rpartition(".")[0])
        module = "_".join(words)
        if importlib.util.find_spec(module) is not None:
            raise RegistryError(
                f"{name!r}: its module would be {module!r}, and there is one of that name already\n"
                "    choose another name, or uninstall the distribution that has it"
            )
        return cls(full, "-".join(words), module, "".join(word.capitalize() for word in words))


def write_plugin(name: str, folder: str | Path, kind: str) -> Path:
    """Write a distribution with one component; returns its folder, complete or not there at all.

    Args:
        name: of the component, `<namespace>.<name>` or `<namespace>.<name>.vN`.
        folder: must not exist.
        kind: one of `kinds()`.

    Raises:
        RegistryError: a name that no component may have, or no such kind.
        RunError: the folder exists or cannot be made.
    """
    if kind not in kinds():
        near = nearest(kind, list(kinds()))
        hint = f"\n    did you mean '{near}'?" if near else ""
        raise RegistryError(f"no skeleton for the kind {kind!r}\n    kinds: {', '.join(kinds())}{hint}")
    names, folder = Names.of(name), Path(folder)
    if folder.exists() or folder.is_symlink():
        raise RunError(f"{folder}: exists already\n    give a folder that does not, or remove it")
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
        try:
            for path, text in contents(names, kind).items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            # mkdtemp makes folders for their owner alone.
            made.chmod(0o755)
            made.rename(folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    except OSError as error:
        raise RunError(f"{folder}: cannot be made: {error.strerror or error}") from error
    return folder


def contents(names: Names, kind: str) -> dict[str, str]:
    """Path → text of every file of the distribution."""
    values = {
        "name": names.name,
        "distribution": names.distribution,
        "module": names.module,
        "cls": names.cls,
        "kind": kind,
        "words": kind.replace("_", " "),
        "spec_name": names.distribution,
        "spec_file": spec_file(kind),
        "pictures": "pictures of its own" if kind == "dataset" else "handwritten digits",
    }

    def fill(template: str, **more: str) -> str:
        text = (_TEMPLATES / template).read_text(encoding="utf-8")
        return Template(text).substitute(values | more)

    return {
        "pyproject.toml": fill("pyproject.toml.template"),
        "README.md": fill("README.md.template"),
        f"{names.module}/__init__.py": f'"""The {values["words"]} {names.name} for ulzoo."""\n',
        f"{names.module}/config.py": fill(f"kinds/{kind}.config.template"),
        f"{names.module}/module.py": fill(f"kinds/{kind}.module.template"),
        spec_file(kind): fill("spec.yaml.template", **fragments(kind, names.name)),
        "tests/conftest.py": fill("conftest.py.template"),
        f"tests/test_{names.module}.py": fill("test.py.template"),
    }
