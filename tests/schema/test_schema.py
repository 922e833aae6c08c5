"""The schema against an independent validator: what is right passes, what is wrong does not."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import jsonschema
import pytest
from fake_site import ACME, distribution, site

from ulzoo.registry import KINDS, Registry
from ulzoo.schema import json_schema
from ulzoo.spec.text import parse, read_text

SPECS_FOLDER = Path(__file__).parents[2] / "specs"
SPECS = sorted(SPECS_FOLDER.rglob("*.yaml"))


@pytest.fixture(scope="module")
def schema(builtin_registry):
    return json_schema(builtin_registry)


@pytest.fixture(scope="module")
def validator(schema):
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


@pytest.fixture(scope="module")
def digits():
    return parse(read_text(SPECS[0]), "").data


def changed(data, path, value):
    """A copy with another value at a dotted path; `...` takes it away."""
    data = copy.deepcopy(data)
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    here = data
    for part in parents:
        here = here[part]
    if value is ...:
        del here[last]
    else:
        here[last] = value
    return data


def test_there_are_specs_in_folders_too():
    names = {path.relative_to(SPECS_FOLDER).as_posix() for path in SPECS}
    assert {"digits.yaml", "imagenet512/ul-small.yaml", "kinetics600/ul-small.yaml"} <= names


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_is_valid(path, validator):
    assert [error.message for error in validator.iter_errors(parse(read_text(path), "").data)] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("latnet", {}),
        ("ulzoo", 2),
        ("data", ...),
        ("stage1.steps", ...),
        ("stage1.steps", 0),
        ("stage1.steps", "100"),
        ("stage1.steps", 10.5),
        ("stage1.steps", True),
        ("stage1.optimizer.learning_rat", 1e-3),
        ("stage1.optimizer.decay", "cosin"),
        ("latent.log_snr", 30),
        ("latent.noise", "learnt"),
        ("precision", "float16"),
        ("encoder", "ulzoo.resnet.v1"),
        ("encoder.type", ...),
        ("encoder.type", "ulzoo.resnet.v9"),
        ("encoder.type", "ulzoo.vit.v1"),
        ("encoder.type", "acme::ulzoo.resnet.v1"),
        ("encoder.chanels", [1]),
        ("encoder.channels", []),
        ("encoder.channels", [1.5]),
        ("encoder.latent_channels", ...),
        ("decoder.network.width", 7),
        ("decoder.network.dropout", 1),
        ("decoder.weighting.bias", None),
        ("base_model.conditioners", {"type": "ulzoo.class_label.v1"}),
        ("base_model.conditioners.0.dropout", -0.1),
        ("base_model.network", {"type": "ulzoo.vit2.v1", "levels": [{"width": 8, "dept": 1}]}),
        ("sample.guidance", {"scale": 1.0, "log_snr_interval": [0.0]}),
        ("sample.guidance", {"log_snr_interval": [0.0, "1"]}),
        ("evaluate", {"type": "ulzoo.psnr.v1"}),
        ("evaluate.0.split", "test"),
        ("parallel", {"mesh": {"model": 2}}),
        ("silence", {"UL999": "why"}),
        ("silence", {"UL001": ""}),
        ("silence", ["UL001"]),
    ],
)
def test_a_mistake_is_not_valid(path, value, validator, digits):
    assert validator.is_valid(digits)
    assert not validator.is_valid(changed(digits, path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("base_model", None),
        ("encoder.type", "ulzoo::ulzoo.resnet.v1"),
        ("encoder.patch", [2, 2]),
        ("encoder.factors", [2]),
        ("decoder.weighting.bias", 4),
        ("sample.guidance", {"scale": 2, "log_snr_interval": [-3, 3.5]}),
        ("parallel", {"mesh": {"data": 4}}),
        ("silence", {"UL001": "an ablation"}),
    ],
)
def test_what_the_loader_takes_is_valid(path, value, validator, digits):
    assert [error.message for error in validator.iter_errors(changed(digits, path, value))] == []


def test_every_component_of_every_kind_is_there(schema, builtin_registry):
    for kind in KINDS:
        options = schema["$defs"][f"kind.{kind}"]["properties"]["type"]["anyOf"]
        names = {option["const"]: option["description"] for option in options if "const" in option}
        assert set(names) == {entry.name for entry in builtin_registry.entries(kind)}
        assert all(names.values())


def test_fields_say_what_bounds_and_default_they_have(schema):
    fields = schema["$defs"]["ViTConfig"]["properties"]
    assert fields["width"]["description"] == "Channels of the tokens. ≥ 8."
    assert fields["heads"]["description"].endswith("≥ 1. Default: 4.")
    assert (fields["heads"]["default"], fields["heads"]["minimum"]) == (4, 1)


def test_it_is_json_without_marks_of_its_making(schema):
    text = json.dumps(schema)
    assert "x-component" not in text
    assert "prefixItems" not in text


def test_plugins(tmp_path, monkeypatch):
    """Two distributions with one name and one class name, and one that does not import."""
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = site(tmp_path)
    distribution(folder, "rival", "3", {"network": {"acme.net.v1": "Network"}}, "fake_acme")
    distribution(folder, "broken", "1", {"network": {"acme.gone.v1": "Gone"}}, "no_such_module")
    told = []
    schema = json_schema(Registry([str(folder)]), on_broken=lambda entry, why: told.append((entry.name, why)))
    assert [name for name, _ in told] == ["acme.gone.v1"]
    assert "No module named 'no_such_module'" in told[0][1]
    assert all(entries for entries in ACME.values())
    validator = jsonschema.Draft7Validator({"$ref": "#/$defs/kind.network", "$defs": schema["$defs"]})
    assert validator.is_valid({"type": "rival::acme.net.v1", "width": 3})
    assert validator.is_valid({"type": "acme-ulzoo::acme.net.v1", "width": 3})
    # Ambiguous for the loader too.
    assert not validator.is_valid({"type": "acme.net.v1", "width": 3})
    assert not validator.is_valid({"type": "rival::acme.net.v1"})
