"""`show`: the resolved spec with the origin of each value, still YAML."""

import pytest
from fake_site import SPEC
from hypothesis import given
from hypothesis import strategies as st

from ulzoo.spec import origin, parse_spec, resolved, show


@pytest.fixture
def load(registry):
    return lambda *overrides, text=SPEC: parse_spec(
        text, source="my.yaml", registry=registry, overrides=overrides
    )


def origins(spec):
    """Path → comment of each line that has one, by the indentation of the text itself."""
    found, parents = {}, []
    for line in show(spec).splitlines()[1:]:
        text, _, comment = line.partition("  # ")
        depth = (len(text) - len(text.lstrip(" -"))) // 2
        parents = [*parents[:depth], text.strip(" -").partition(":")[0]]
        if comment:
            found[".".join(parents)] = comment
    return found


def test_file_default_and_flag(load):
    found = origins(load("stage1.steps=200", "encoder.wide=true"))
    assert found["ulzoo"] == "my.yaml:1:1"
    assert found["data.type"] == "my.yaml:3:8"
    assert found["data.size"] == "my.yaml:3:28"
    assert found["data.root"] == "default"
    assert found["encoder.channels"] == "my.yaml:6:3"
    assert found["encoder.wide"] == "--set encoder.wide=true"
    assert found["encoder.rate"] == "default"
    assert found["stage1.steps"] == "--set stage1.steps=200"
    assert found["stage1.optimizer.type"] == found["stage1.optimizer.learning_rate"] == "default"
    assert found["seed"] == "default"


def test_an_override_of_part_of_a_default_leaves_the_rest_default(load):
    found = origins(load("prior.schedule.high=6"))
    assert found["prior.schedule.high"] == "--set prior.schedule.high=6"
    assert found["prior.schedule.type"] == found["prior.schedule.low"] == "default"
    # Said outright, it is the flag's.
    found = origins(load("prior.schedule.high=6", "prior.schedule.low=-8"))
    assert found["prior.schedule.low"] == "--set prior.schedule.low=-8"
    assert found["prior.schedule.type"] == "default"


def test_a_whole_mapping_by_flag(load):
    flag = "encoder={type: acme.conv.v2, rate: 0.5}"
    found = origins(load(flag))
    assert found["encoder.type"] == found["encoder.rate"] == f"--set {flag}"
    assert found["encoder.channels"] == "default"
    assert origins(load("encoder.type=acme.other.v1"))["encoder.depth"] == "default"


def test_a_spec_made_in_python_has_no_file(load):
    spec = load().model_copy(deep=True)
    made = type(spec)(**{name: getattr(spec, name) for name in type(spec).model_fields})
    assert made == spec
    assert origin(made, ("seed",)) == origin(made, ("encoder", "rate")) == "<spec>"


def test_what_was_changed_in_python_is_not_the_files(load):
    spec = load()
    copy = spec.model_copy(
        update={"seed": 7, "encoder": spec.encoder.model_copy(update={"rate": 0.5, "channels": (1,)})}
    )
    found = origins(copy)
    assert found["seed"] == found["encoder.rate"] == found["encoder.channels"] == "<spec>"
    assert found["encoder.type"] == "my.yaml:5:3"
    assert found["encoder.wide"] == "default"
    assert origins(spec)["seed"] == "default"


def test_what_is_shown_is_the_spec(load):
    overrides = [
        "name=x",
        "evaluate=[]",
        "data.size=[8, 16]",
        "silence={UL001: 'a # b: \u2028 c'}",
        "base_model=null",
    ]
    spec = load(*overrides, "stage2=null")
    assert load(text=show(spec)) == spec
    assert resolved(load(text=show(load()))) == resolved(load())


@given(root=st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), max_size=80))
def test_any_text_is_shown_on_its_line(registry, root):
    spec = parse_spec(SPEC, registry=registry, overrides={"data.root": root})
    assert parse_spec(show(spec), registry=registry) == spec


def test_it_reads_like_this(load):
    lines = show(load()).splitlines()
    assert lines[0].startswith("# spec ")
    assert len(lines[0]) == len("# spec ") + 64
    assert lines[1].startswith("ulzoo: 1  ")
    # Lists of components begin on their dash, lists of numbers stay on one line, comments are lined up.
    assert any(line.startswith("  - type: acme.metric.v1  ") for line in lines)
    assert any(line.startswith("  channels: [4, 8]  ") for line in lines)
    assert len({line.index("# ") for line in lines[1:] if "# " in line}) == 1
