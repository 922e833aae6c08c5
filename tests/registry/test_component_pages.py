"""What `ulzoo components` shows: the table, and the page of one."""

import sys

import pytest
from fake_site import distribution, site

from ulzoo.cli.components import component_page, components_table
from ulzoo.errors import RegistryError
from ulzoo.registry import KINDS, Registry


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
