"""Components by entry points, on private paths with fake distributions."""

import sys
from typing import Literal

import pytest
from fake_site import distribution, module, site, toy

from ulzoo.cli.components import components_table
from ulzoo.errors import RegistryError
from ulzoo.registry import Entry, Registry
from ulzoo.spec import Component


class Toy(Component):
    """A local network."""

    type: Literal["mine.toy.v1"] = "mine.toy.v1"
    width: int = 3

    def build(self, io, *, key):
        return None


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


def test_the_kinds_of_a_name(folder):
    groups = {"encoder": {"acme.x.v1": "A"}, "network": {"acme.x.v1": "B"}}
    distribution(folder, "acme", "1", groups, "fake_absent")
    registry = Registry([str(folder)])
    assert registry.kinds_of("acme.x.v1") == registry.kinds_of("acme::acme.x.v1") == ("encoder", "network")
    with pytest.raises(RegistryError, match=r"no component named 'acme.y.v1'; did you mean 'acme.x.v1'\?"):
        registry.kinds_of("acme.y.v1")
