"""The schema in a real editor's server: what it completes, explains and complains about.

Run with `python -m pytest -m editor`; installs yaml-language-server from npm into a temporary folder.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from language_server import LanguageServer

from ulzoo.schema import json_schema

PACKAGE = "yaml-language-server@1.25.0"
DIGITS = Path(__file__).parents[2] / "specs" / "digits.yaml"

TEXT = """\
ulzoo: 1
data: {type: ulzoo.digits.v1, size: 16}
encoder:
  type: ulzoo.resnet.v1
  chanels: [3]
  
prior:
  type: 
decoder:
  type: ulzoo.mse_decoder.v1
  loss_factor: -1
  network: {type: ulzoo.vit.v1, width: 96, depth: 3}
stage1: {steps: 1000, batch_size: 8}
silence:
  UL00
"""

pytestmark = [
    pytest.mark.editor,
    pytest.mark.skipif(
        not (shutil.which("node") and shutil.which("npm")),
        reason="node and npm are not installed: completion in an editor is not tested",
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory, builtin_registry):
    folder = tmp_path_factory.mktemp("editor")
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    schema = folder / "ulzoo.schema.json"
    schema.write_text(json.dumps(json_schema(builtin_registry)))
    server = LanguageServer(folder / "node_modules/yaml-language-server/bin/yaml-language-server", schema)
    yield server
    server.close()


@pytest.fixture(scope="module")
def opened(server):
    """The text's address, and what the server complains about."""
    uri = "file:///specs/mine.yaml"
    return uri, server.diagnostics(uri, TEXT)


def place(line_start):
    """(line, column) behind the first line that starts so."""
    number = next(i for i, line in enumerate(TEXT.splitlines()) if line.startswith(line_start))
    return number, len(line_start)


def test_a_spec_that_is_right_has_no_complaints(server):
    assert server.diagnostics(DIGITS.as_uri(), DIGITS.read_text()) == []


def test_mistakes_are_marked_on_their_line(opened):
    told = opened[1]
    assert (5, "Property chanels is not allowed.") in told
    assert (11, "Value is below the exclusive minimum of 0.") in told
    assert (3, 'Missing property "latent_channels".') in told


def test_names_of_the_kind_are_completed(server, opened):
    number, _ = place("prior")
    offered = server.completions(opened[0], number + 1, len("  type: "))
    assert set(offered) == {"ulzoo.diffusion_prior.v1", "ulzoo.normal_prior.v1"}
    assert "bounds its bits" in offered["ulzoo.diffusion_prior.v1"]


def test_fields_of_the_component_are_completed(server, opened):
    number, _ = place("  chanels")
    offered = server.completions(opened[0], number + 1, 2)
    assert {"channels", "blocks", "latent_channels", "dropout"} <= set(offered)
    assert not {"width", "depth"} & set(offered)
    assert offered["patch"].endswith("Default: 2.")


def test_codes_of_rules_are_completed(server, opened):
    offered = server.completions(opened[0], *place("  UL00"))
    assert offered["UL001"].startswith("Loss factor at which no information pays")


@pytest.mark.parametrize(
    ("line_start", "column", "text"),
    [
        ("stage1", 10, "Optimiser steps"),
        ("  loss_factor", 4, "the distortion is ½"),
        ("  network", 34, "Channels of the tokens. ≥ 8."),
        ("decoder", 2, "One-step decoder"),
    ],
)
def test_hovering_explains(server, opened, line_start, column, text):
    assert text in server.hover(opened[0], place(line_start)[0], column)
