"""Who may import whom, how long a file may be, and what may not be used at all."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ulzoo"
FILES = sorted(path for path in PACKAGE.rglob("*.py"))
LONGEST = 400

# Each room and the rooms it may import; a room is a module or package of ulzoo. Itself is always allowed.
BASE = {"errors", "spec"}
MATHEMATICS = {*BASE, "interfaces", "diffusion"}
COMPONENTS = {*MATHEMATICS, "parallel.precision"}
ASSEMBLY = {*MATHEMATICS, "autoencoder", "parallel.precision", "flops"}
PROGRAMS = {*ASSEMBLY, "assemble", "parallel"}
ALLOWED = {
    "errors": set(),
    "allocation": set(),
    "spec": {"errors", "registry"},
    "loading": BASE,
    "registry": {*BASE, "loading"},
    "declarations": {*BASE, "loading", "registry"},
    "rules": BASE,
    "schema": {*BASE, "declarations", "registry", "rules"},
    "interfaces": BASE,
    "weights": {"errors"},
    "parallel.precision": set(),
    "peers": {"errors"},
    "parallel": {*BASE, "allocation", "peers"},
    "diffusion": {*BASE, "interfaces"},
    "components": COMPONENTS,
    "flops": set(),
    "traced": set(),
    "autoencoder": COMPONENTS,
    "assemble": ASSEMBLY,
    "inspection": {*ASSEMBLY, "assemble"},
    "layout_check": {*PROGRAMS, "inspection", "programs"},
    "programs": PROGRAMS,
    "train": {*PROGRAMS, "programs"},
    "windows": {"errors"},
    "beyond": {*PROGRAMS, "programs", "windows"},
    "planning": {*PROGRAMS, "programs", "experiment", "inspection", "traced"},
    # Loaded without JAX: what is known of hardware, and the process that compiles for it.
    "planning.accelerators": BASE,
    "planning.topology": BASE,
}
# Rooms below the programs may not know anyone above them, whatever else they do.
ABOVE = {"train", "training", "resume_check", "bench", "stages", "cli", "hooks", "evaluation", "run"}
OUTERMOST = {
    "__init__",
    "cli",
    "stages",
    "training",
    "resume_check",
    "bench",
    "__main__",
    "hooks",
    "evaluation",
    "train",
    "run",
    "metrics",
} | {
    "showing",
    "timing",
    "report",
    "restoring",
    "blackbox",
    "export",
    "completion",
    "continuations",
    "examples",
    "encoding",
    "encode_once",
    "sweep",
    "study",
}
ONLY = {"entrypoints": {"registry.py"}, "orbax": {"checkpoint.py"}}
NEVER = {"pickle", "cloudpickle", "dill", "plugins"}


def imports(path):
    """Full names of all modules that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def within(module, room):
    return module == room or module.startswith(f"{room}.")


def modules():
    return {name_of(path) for path in FILES} - {"__init__"}


def internal(path):
    """Modules of ulzoo that a file imports, relative to ulzoo."""
    known = modules()
    names = {name.removeprefix("ulzoo.") for name in imports(path) if name.startswith("ulzoo.")}
    return {name for name in names if name in known}


def room_of(module):
    rooms = [room for room in ALLOWED if within(module, room)]
    return max(rooms, key=len, default=None)


@pytest.mark.parametrize("room", ALLOWED)
def test_rooms_import_only_what_lies_below_them(room):
    broken = []
    for path in FILES:
        module = name_of(path)
        if room_of(module) != room:
            continue
        for target in internal(path):
            if not any(within(target, allowed) for allowed in ALLOWED[room] | {room}):
                broken.append(f"{module} imports {target}")
    assert not broken


def test_nothing_but_the_outermost_rooms_knows_the_outermost_rooms():
    broken = []
    for path in FILES:
        module = name_of(path)
        if any(within(module, room) for room in OUTERMOST):
            continue
        broken += [f"{module} imports {t}" for t in internal(path) if any(within(t, room) for room in ABOVE)]
    assert not broken


def test_components_never_import_one_another():
    """A component is one file; what several need is in layers (for optimisers: in their schedule)."""
    broken = []
    for path in FILES:
        module = name_of(path)
        if not module.startswith("components."):
            continue
        for target in internal(path):
            shared = within(target, "components.layers") or target == "components.optimizers.schedule"
            if target.startswith("components.") and target.count(".") > 1 and not shared:
                broken.append(f"{module} imports {target}")
    assert not broken


def test_the_core_names_no_component_in_its_code():
    """Components come through the registry alone, ulzoo's own like a stranger's."""
    broken = []
    for path in FILES:
        module = name_of(path)
        if not within(module, "components"):
            broken += [
                f"{module} imports {target}" for target in internal(path) if within(target, "components")
            ]
    assert not broken


@pytest.mark.parametrize("package", ONLY)
def test_one_file_deals_with_a_dependency(package):
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in FILES
        if any(within(n, package) for n in imports(path))
    }
    assert users == ONLY[package]


def test_what_is_never_imported():
    broken = [
        f"{path}: {name}" for path in FILES for name in imports(path) if name.partition(".")[0] in NEVER
    ]
    assert not broken


def test_files_are_short():
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in FILES}
    assert not {path: lines for path, lines in lengths.items() if lines >= LONGEST}


def test_no_file_is_called_by_what_it_is_not():
    forbidden = ("util", "helper", "manager", "handler", "common", "misc")
    assert not [path.name for path in FILES if any(word in path.stem for word in forbidden)]


def test_the_rooms_here_are_all_the_rooms_there_are():
    """An entry for a module that is gone would hold nothing."""
    known = modules()
    assert not [room for room in ALLOWED if not any(within(module, room) for module in known)]
