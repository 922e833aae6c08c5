"""Entry points that are broken, malformed or damaged: named, and no harm to others."""

import pytest
from fake_site import distribution, module, toy

from ulzoo.cli.components import components_table
from ulzoo.errors import RegistryError
from ulzoo.registry import Registry


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
