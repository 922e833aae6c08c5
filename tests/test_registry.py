"""Components by entry points, on private paths with fake distributions."""

import sys
from typing import Literal

import pytest
from fake_site import distribution, site

from ulzoo.cli.components import component_page, components_table
from ulzoo.errors import RegistryError
from ulzoo.registry import KINDS, Entry, Registry
from ulzoo.spec import Component


class Toy(Component):
    """A local network."""

    type: Literal["mine.toy.v1"] = "mine.toy.v1"
    width: int = 3

    def build(self, io, *, key):
        return None


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("fake_", "pkg_")):
            del sys.modules[name]


def module(folder, name, text):
    (folder / f"{name}.py").write_text(
        "from typing import Literal\nfrom ulzoo.spec import Component\n" + text
    )


def toy(name, cls="Toy"):
    return (
        f'class {cls}(Component):\n    type: Literal["{name}"] = "{name}"\n'
        "    def build(self, io, *, key): return None\n"
    )


def test_discovery_imports_nothing_and_keeps_provenance(folder):
    distribution(folder, "Acme.Ulzoo_Plug", "1.4", {"encoder": {"acme.vit.v2": "Toy"}}, "fake_raises")
    (folder / "fake_raises.py").write_text("raise RuntimeError('imported')\n")
    registry = Registry([str(folder)])
    assert registry.find("encoder", "acme.vit.v2") == Entry(
        "encoder", "acme.vit.v2", "fake_raises:Toy", "acme-ulzoo-plug", "1.4"
    )
    assert "fake_raises" not in sys.modules


def test_load_gives_the_class_and_caches_it(folder):
    module(folder, "fake_good", toy("acme.vit.v2"))
    distribution(folder, "acme", "1", {"encoder": {"acme.vit.v2": "Toy"}}, "fake_good")
    registry = Registry([str(folder)])
    cls = registry.load("encoder", "acme.vit.v2")
    assert issubclass(cls, Component)
    assert cls().type == "acme.vit.v2"
    assert registry.load("encoder", "acme::acme.vit.v2") is cls


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "acme.vit.v1",
            "no encoder named 'acme.vit.v1'; did you mean 'acme.vit.v2' (acme-ulzoo 1.4)?\n"
            "    installed: acme.vit.v2, acme.zip.v1",
        ),
        (
            "vit",
            "no encoder named 'vit'; did you mean 'acme.vit.v2' (acme-ulzoo 1.4)?\n"
            "    installed: acme.vit.v2, acme.zip.v1",
        ),
        ("qqqq", "no encoder named 'qqqq'\n    installed: acme.vit.v2, acme.zip.v1"),
        (
            "acme.net.v1",
            "no encoder named 'acme.net.v1'; that is a network\n    installed: acme.vit.v2, acme.zip.v1",
        ),
    ],
)
def test_unknown_names_answer_with_the_nearest(folder, name, message):
    groups = {"encoder": {"acme.vit.v2": "A", "acme.zip.v1": "B"}, "network": {"acme.net.v1": "C"}}
    distribution(folder, "acme_ulzoo", "1.4", groups, "fake_absent")
    with pytest.raises(RegistryError) as caught:
        Registry([str(folder)]).find("encoder", name)
    assert str(caught.value) == message


def test_another_kind_has_its_article(folder):
    distribution(folder, "acme_ulzoo", "1.4", {"encoder": {"acme.net.v1": "A"}}, "fake_absent")
    with pytest.raises(RegistryError, match="that is an encoder"):
        Registry([str(folder)]).find("network", "acme.net.v1")


def test_a_name_of_two_distributions_is_an_error_only_when_used(folder):
    module(folder, "fake_one", toy("acme.vit.v1"))
    module(folder, "fake_two", toy("acme.vit.v1") + toy("acme.own.v1", "Own"))
    distribution(folder, "one", "1.0", {"encoder": {"acme.vit.v1": "Toy"}}, "fake_one")
    distribution(folder, "two", "2.0", {"encoder": {"acme.vit.v1": "Toy", "acme.own.v1": "Own"}}, "fake_two")
    registry = Registry([str(folder)])
    assert registry.load("encoder", "acme.own.v1").__name__ == "Own"
    with pytest.raises(RegistryError) as caught:
        registry.load("encoder", "acme.vit.v1")
    assert str(caught.value) == (
        "encoder 'acme.vit.v1' is provided by one 1.0 and two 2.0\n"
        "    write 'one::acme.vit.v1' or 'two::acme.vit.v1'"
    )
    assert registry.load("encoder", "two::acme.vit.v1").__module__ == "fake_two"
    table = components_table(registry)
    assert "acme.vit.v1  one 1.0  duplicate: also in two 2.0; write 'one::acme.vit.v1'" in table
    assert "acme.vit.v1  two 2.0  duplicate: also in one 1.0; write 'two::acme.vit.v1'" in table


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "import no_such_module_anywhere\n",
            "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        ),
        ("x = 1\n1 / 0\n", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("def f(:\n", "SyntaxError: "),
        ("x = 1\n", "AttributeError: module 'fake_bad' has no attribute 'Toy'"),
    ],
)
def test_a_broken_component_says_cause_and_place_and_harms_no_other(folder, text, cause):
    (folder / "fake_bad.py").write_text(text)
    module(folder, "fake_good", toy("good.net.v1"))
    distribution(folder, "bad", "0.1", {"network": {"bad.net.v1": "Toy"}}, "fake_bad")
    distribution(folder, "good", "0.1", {"network": {"good.net.v1": "Toy"}}, "fake_good")
    registry = Registry([str(folder)])
    for _ in range(2):
        with pytest.raises(RegistryError) as caught:
            registry.load("network", "bad.net.v1")
    assert str(caught.value).startswith(f"network 'bad.net.v1' of bad 0.1 is broken: {cause}")
    if "has no attribute" not in cause:
        assert f"fake_bad.py:{len(text.splitlines())}" in str(caught.value)
    assert registry.load("network", "good.net.v1")
    states = {row.entry.name: row.state for row in registry.status(load=True)}
    assert states == {"bad.net.v1": "broken", "good.net.v1": "ok"}


@pytest.mark.parametrize(
    ("kind", "body", "fault"),
    [
        ("encoder", "Toy = 3\n", "fake_odd:Toy is not a subclass of ulzoo.spec.Component"),
        ("encoder", toy("acme.vit.v2"), "must declare type: Literal['acme.vit.v1'] = 'acme.vit.v1'"),
        (
            "encoder",
            "class Toy(Component):\n    type: str = 'acme.vit.v1'\n    def build(self, io, *, key): ...\n",
            "must declare type: Literal['acme.vit.v1'] = 'acme.vit.v1'",
        ),
        ("dataset", toy("acme.vit.v1"), "has no method io and no open"),
        (
            "encoder",
            "class Toy(Component):\n    type: Literal['acme.vit.v1'] = 'acme.vit.v1'\n",
            "has no method build",
        ),
    ],
)
def test_a_class_that_is_not_what_its_entry_says_is_broken(folder, kind, body, fault):
    module(folder, "fake_odd", body)
    distribution(folder, "odd", "1", {kind: {"acme.vit.v1": "Toy"}}, "fake_odd")
    with pytest.raises(RegistryError, match="is broken") as caught:
        Registry([str(folder)]).load(kind, "acme.vit.v1")
    assert fault in str(caught.value)


@pytest.mark.parametrize("name", ["vit", "acme.vit", "acme.vit.1", "acme.vit.v0", "Acme.vit.v1", "a.b.c.v1"])
def test_malformed_names_are_listed_and_refused_when_used(folder, name):
    distribution(folder, "acme", "1", {"encoder": {name: "Toy"}}, "fake_absent")
    registry = Registry([str(folder)])
    assert "refused: a name must read <namespace>.<name>.vN, in lower case" in components_table(registry)
    with pytest.raises(RegistryError, match="is refused: a name must read"):
        registry.load("encoder", name)


def test_the_reserved_namespace_is_refused_to_others(folder):
    module(folder, "fake_own", toy("ulzoo.vit.v1"))
    distribution(
        folder, "mallory", "1", {"encoder": {"ulzoo.vit.v1": "Toy", "ulzoo.new.v1": "Toy"}}, "fake_x"
    )
    distribution(folder, "ulzoo", "0.1", {"encoder": {"ulzoo.vit.v1": "Toy"}}, "fake_own")
    registry = Registry([str(folder)])
    assert registry.find("encoder", "ulzoo.vit.v1").distribution == "ulzoo"
    with pytest.raises(RegistryError, match="belongs to the distribution ulzoo"):
        registry.find("encoder", "ulzoo.new.v1")
    states = [(row.entry.name, row.state) for row in registry.status()]
    assert states == [("ulzoo.new.v1", "refused"), ("ulzoo.vit.v1", "refused"), ("ulzoo.vit.v1", "ok")]


@pytest.mark.parametrize(
    "damage",
    [b"no section\n", b"[a]\nx = 1\nx = 2\n", b"\xff\xfe\x00", b"[ulzoo.encoder\n", b"[a]\n[a]\n"],
)
def test_a_damaged_file_of_another_package_is_named_and_harms_nobody(folder, damage):
    distribution(folder, "acme", "1", {"encoder": {"acme.vit.v1": "Toy"}}, "fake_x")
    bad = folder / "aaa_bad-3.dist-info" / "entry_points.txt"
    bad.parent.mkdir()
    bad.write_bytes(damage)
    registry = Registry([str(folder)])
    assert [entry.name for entry in registry.entries()] == ["acme.vit.v1"]
    assert len(registry.problems) == 1
    assert registry.problems[0].startswith(f"{bad}: unreadable, its components are ignored: ")
    assert str(bad) in components_table(registry)


def test_a_group_that_is_no_kind_is_told(folder):
    groups = {"encoders": {"acme.vit.v1": "Toy"}, "optimiser": {"acme.o.v1": "O"}}
    distribution(folder, "acme", "1", groups, "x")
    registry = Registry([str(folder)])
    assert registry.entries() == ()
    assert registry.problems == (
        "acme: 'ulzoo.encoders' is no group of components; did you mean 'ulzoo.encoder'?",
        "acme: 'ulzoo.optimiser' is no group of components; did you mean 'ulzoo.optimizer'?",
    )


def test_percent_signs_default_sections_and_bad_targets(folder):
    info = folder / "odd-1.dist-info"
    info.mkdir()
    text = (
        "[DEFAULT]\nleak = a:b\n[ulzoo.encoder]\nodd.a.v1 = 100%\nodd.b.v1 = fake_x:%s\nodd.c.v1 = fake_x\n"
    )
    (info / "entry_points.txt").write_text(text + "odd.d.v1 = fake_x:D\n")
    registry = Registry([str(folder)])
    assert [entry.name for entry in registry.entries()] == ["odd.d.v1"]
    assert len(registry.problems) == 3


def test_an_egg_info_twin_and_a_shadowed_version_are_no_duplicates(folder, tmp_path_factory):
    distribution(folder, "ulzoo_fancy_plug", "2", {"encoder": {"acme.vit.v1": "Toy"}}, "fake_x")
    twin = folder / "Ulzoo.Fancy_Plug.egg-info"
    twin.mkdir()
    (twin / "entry_points.txt").write_text("[ulzoo.encoder]\nacme.vit.v1 = fake_x:Toy\n")
    later = tmp_path_factory.mktemp("later")
    distribution(later, "ulzoo_fancy_plug", "1", {"encoder": {"acme.old.v1": "Toy"}}, "fake_x")
    registry = Registry([str(folder), str(later), str(folder / "absent"), str(folder)])
    assert [(entry.name, entry.version) for entry in registry.entries()] == [("acme.vit.v1", "2")]


def test_fingerprint_follows_what_is_installed(folder, tmp_path_factory):
    distribution(folder, "acme", "1", {"encoder": {"acme.vit.v1": "Toy"}}, "fake_x")
    first = Registry([str(folder)]).fingerprint()
    assert first == Registry([str(folder)]).fingerprint()
    newer = tmp_path_factory.mktemp("newer")
    distribution(newer, "acme", "2", {"encoder": {"acme.vit.v1": "Toy"}}, "fake_x")
    assert first != Registry([str(newer)]).fingerprint()


def test_without_an_installed_ulzoo_discovery_says_what_to_do(folder, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(folder)])
    with pytest.raises(RegistryError, match=r"python -m pip install -e \."):
        Registry.discover()
    site(folder)
    assert Registry.discover().find("optimizer", "ulzoo.adam.v1").version == "0.1.0"


def test_local_classes_need_no_distribution(folder):
    empty = Registry([str(folder)])
    registry = empty.with_local("network", Toy)
    entry = registry.find("network", "mine.toy.v1")
    assert (entry.distribution, entry.version, entry.origin) == ("local", "", "local")
    assert registry.load("network", "mine.toy.v1") is Toy
    assert registry.provenance("network", Toy()) == entry
    assert empty.entries() == ()
    assert empty.provenance("network", Toy()) == entry
    assert registry.fingerprint() != empty.fingerprint()


def test_local_classes_are_checked_like_others(folder):
    class Reserved(Component):
        type: Literal["ulzoo.toy.v1"] = "ulzoo.toy.v1"

        def build(self, io, *, key):
            return None

    registry = Registry([str(folder)])
    with pytest.raises(RegistryError, match="belongs to the distribution ulzoo"):
        registry.with_local("network", Reserved)
    with pytest.raises(RegistryError, match="has no method io and no open"):
        registry.with_local("dataset", Toy)
    with pytest.raises(RegistryError, match="no kind of component is called 'networks'"):
        registry.with_local("networks", Toy)
    distribution(folder, "acme", "1", {"network": {"mine.toy.v1": "Toy"}}, "fake_x")
    with pytest.raises(RegistryError, match=r"provided by acme 1 and local\n    write 'acme::mine.toy.v1'"):
        Registry([str(folder)]).with_local("network", Toy).load("network", "mine.toy.v1")


def test_the_table_shows_absent_modules_without_importing_packages(folder):
    package = folder / "pkg_loud"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "fine.py").write_text("x = 1\n")
    (package / "syntax.py").write_text("\ndef (\n")
    modules = ("pkg_loud.fine", "pkg_loud.gone", "pkg_loud.fine.deeper", "pkg_loud.syntax", "pkg_none")
    for index, name in enumerate(modules):
        distribution(folder, f"d{index}", "1", {"metric": {f"acme.m{index}.v1": "Toy"}}, name)
    notes = [row.note for row in Registry([str(folder)]).status()]
    assert notes[:3] == ["", "no module named 'pkg_loud.gone'", "'pkg_loud.fine' is not a package"]
    assert notes[3].startswith("SyntaxError: ")
    assert notes[3].endswith("syntax.py:2")
    assert notes[4] == "no module named 'pkg_none'"
    assert "pkg_loud" not in sys.modules


def test_component_page_shows_fields_bounds_defaults_and_descriptions(folder):
    registry = Registry([str(site(folder))])
    assert component_page(registry, "acme.conv.v2") == (
        "acme.conv.v2  (encoder, acme-ulzoo 1.4, fake_acme:Encoder)\n"
        "\n"
        "  channels: list of (integer), at least 1 long, at most 4 long = [4, 8]\n"
        "      Channels per stage.\n"
        "\n"
        "  rate: number, ≥ 0, ≤ 1 = 0.1\n"
        "      Dropout rate.\n"
        "\n"
        "  wide: true/false = false\n"
        "\n"
        "  example:\n"
        "      encoder: {type: acme.conv.v2}"
    )
    page = component_page(registry, "acme.prior.v1")
    assert "  network: network component (required)" in page
    assert "  schedule: schedule component = {type: acme.linear.v1, low: -8.0}" in page
    assert "  extra: network component or null = null" in page
    assert "  conditioners: list of (network component) = []" in page
    assert "example" not in page, "its network is required, and it gives no example"
    assert "  no fields\n\n  example:" in component_page(registry, "acme.base.v1")


NESTED = """
from typing import Literal
from pydantic import Field
from ulzoo.spec import Component, SpecModel

class Step(SpecModel):
    '''One of several.

    More about it.
    '''
    type: str = "a"
    factor: float | None = Field(default=None, gt=0)
    '''How much.'''

class Level(SpecModel):
    '''One resolution.'''
    width: int = Field(ge=8)
    '''Channels.'''
    steps: tuple[Step, ...] = ()

class Nested(Component):
    '''Parts in parts.'''
    type: Literal["acme.nested.v1"] = "acme.nested.v1"
    levels: tuple[Level, ...] = Field(min_length=1)
    '''From fine to coarse.'''
    last: Level | None = None
    def build(self, io, *, key): return None
"""


def test_component_page_shows_the_fields_of_parts_inside_parts_once(folder):
    (folder / "fake_nested.py").write_text(NESTED)
    distribution(folder, "nest", "2", {"network": {"acme.nested.v1": "Nested"}}, "fake_nested")
    page = component_page(Registry([str(folder)]), "acme.nested.v1")
    assert page.split("\n", 3)[3] == (
        "\n"
        "  levels: list of (Level), at least 1 long (required)\n"
        "      From fine to coarse.\n"
        "\n"
        "      Level: One resolution.\n"
        "\n"
        "        width: integer, ≥ 8 (required)\n"
        "            Channels.\n"
        "\n"
        "        steps: list of (Step) = []\n"
        "\n"
        "            Step: One of several.\n"
        "\n"
        "              type: text = a\n"
        "\n"
        "              factor: number or null, > 0 = null\n"
        "                  How much.\n"
        "\n"
        "  last: Level or null = null"
    )


def test_component_page_of_an_unknown_name(folder):
    with pytest.raises(
        RegistryError, match=r"no component named 'acme.konv.v2'; did you mean 'acme.conv.v2'\?"
    ):
        component_page(Registry([str(site(folder))]), "acme.konv.v2")


def test_an_empty_path_has_no_components(folder):
    registry = Registry([str(folder)])
    assert components_table(registry) == "no components are installed"
    for kind in KINDS:
        with pytest.raises(RegistryError, match="installed: none"):
            registry.find(kind, "acme.vit.v1")


OLD = """
from typing import ClassVar, Literal
from pydantic import Field
from ulzoo.spec import Component

class Old(Component):
    '''Superseded.'''
    type: Literal["acme.vit.v1"] = "acme.vit.v1"
    replaced_by: ClassVar[str | None] = "acme.vit.v2"
    def build(self, io, *, key): return None

class New(Component):
    '''A network with a wide example.'''
    type: Literal["acme.vit.v2"] = "acme.vit.v2"
    example: ClassVar = {"width": 8, "levels": [{"type": "acme.long-name-of-a-level.v1", "width": 123456789}]}
    width: int = Field(gt=0)
    levels: tuple[dict, ...]
    def build(self, io, *, key): return None
"""


def test_a_replaced_component_says_by_what_with_and_without_import(folder):
    (folder / "fake_old.py").write_text(OLD)
    groups = {"network": {"acme.vit.v1": "Old", "acme.vit.v2": "New"}}
    distribution(folder, "acme", "2", groups, "fake_old")
    registry = Registry([str(folder)])
    line = "  acme.vit.v1  acme 2  replaced: use 'acme.vit.v2' in new specs"
    assert line in components_table(registry).splitlines()
    assert components_table(registry).endswith("nothing was imported; --load shows what breaks when it is")
    assert "fake_old" not in sys.modules
    assert line in components_table(registry, load=True).splitlines()
    page = component_page(registry, "acme.vit.v1")
    assert "  replaced by acme.vit.v2: use that in new specs; old ones keep their meaning" in page


def test_a_long_example_is_a_line_for_each_field(folder):
    (folder / "fake_old.py").write_text(OLD)
    distribution(folder, "acme", "2", {"network": {"acme.vit.v2": "New"}}, "fake_old")
    assert component_page(Registry([str(folder)]), "acme.vit.v2").endswith(
        "\n\n  example:\n"
        "      prior:\n"
        "        type: ulzoo.diffusion_prior.v1\n"
        "        network:\n"
        "          type: acme.vit.v2\n"
        "          width: 8\n"
        "          levels: [{type: acme.long-name-of-a-level.v1, width: 123456789}]"
    )


def test_the_kinds_of_a_name(folder):
    groups = {"encoder": {"acme.x.v1": "A"}, "network": {"acme.x.v1": "B"}}
    distribution(folder, "acme", "1", groups, "fake_absent")
    registry = Registry([str(folder)])
    assert registry.kinds_of("acme.x.v1") == registry.kinds_of("acme::acme.x.v1") == ("encoder", "network")
    with pytest.raises(RegistryError, match=r"no component named 'acme.y.v1'; did you mean 'acme.x.v1'\?"):
        registry.kinds_of("acme.y.v1")
