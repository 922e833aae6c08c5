"""`--set`: typed like YAML, checked like the file, named in errors."""

import pytest
from fake_site import SPEC

from ulzoo.errors import SpecError
from ulzoo.spec import parse_spec, resolved, spec_where


@pytest.fixture
def load(registry):
    return lambda overrides: parse_spec(SPEC, source="t.yaml", registry=registry, overrides=overrides)


@pytest.fixture
def message(load):
    def message(*overrides):
        with pytest.raises(SpecError) as caught:
            load(overrides)
        return str(caught.value)

    return message


def test_values_are_typed_like_yaml(load):
    spec = load(
        [
            "stage1.steps=200",
            "encoder.rate=1e-4",
            "encoder.channels=[1, 2, 3]",
            "name=no",
            "evaluate.1.seed=7",
            "data.size=[8, 9]",
            "stage2.checkpoint_every=~",
        ]
    )
    assert spec.stage1.steps == 200
    assert spec.encoder.rate == 1e-4
    assert spec.encoder.channels == (1, 2, 3)
    assert spec.name == "no"
    assert [metric.seed for metric in spec.evaluate] == [0, 7]
    assert spec.data.size == (8, 9)


def test_a_part_of_a_default_is_overridden_within_the_default(load):
    spec = load(
        [
            "prior.schedule.high=4",
            "sample.sampler.steps=7",
            "latent.log_snr=4",
            "stage1.optimizer.learning_rate=1",
        ]
    )
    assert (spec.prior.schedule.low, spec.prior.schedule.high) == (-8.0, 4.0)
    assert spec.sample.sampler.steps == 7
    assert spec.sample.decoder_sampler.steps == 64
    assert spec.latent.log_snr == 4.0
    assert spec.stage1.optimizer.learning_rate == 1.0


@pytest.mark.parametrize("order", [1, -1])
def test_a_new_type_drops_the_old_component_whatever_the_order(load, order):
    spec = load(["encoder.type=acme.other.v1", "encoder.depth=4"][::order])
    assert resolved(spec)["encoder"] == {"type": "acme.other.v1", "depth": 4}
    assert spec_where(spec, "encoder.depth")[0] == "--set encoder.depth=4"


def test_the_same_type_keeps_the_component(load):
    assert load(["encoder.type=acme.conv.v2"]).encoder == load([]).encoder


def test_a_mapping_of_overrides(load):
    spec = load({"stage1.steps": 20, "encoder.channels": (1, 2), "prior.network": load([]).prior.network})
    assert spec.stage1.steps == 20
    assert spec.encoder.channels == (1, 2)
    with pytest.raises(SpecError) as caught:
        load({"stage1.steps": object(), "stage1..x": 3, "seed": -1})
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("override stage1.steps: stage1.steps: expected plain data or a configuration")
    assert lines[1:] == [
        "override stage1..x: expected a dotted path",
        "override seed: seed: must be at least 0, got -1",
    ]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("stage1.steps=x", "--set stage1.steps=x: stage1.steps: expected a whole number, got 'x'"),
        ("stage1.stepz=3", "--set stage1.stepz=3: stage1.stepz: unknown field; did you mean 'steps'?"),
        ("stag1.steps=3", "--set stag1.steps=3: stag1: unknown field; did you mean 'stage1'?"),
        (
            "prior.schedule.lo=9",
            "--set prior.schedule.lo=9: prior.schedule.lo: unknown field; did you mean 'low'?",
        ),
        ("name.x=3", "--set name.x=3: name.x: name is 'tiny', which has no part 'x'"),
        ("seed.x=3", "--set seed.x=3: seed: expected a whole number, got a mapping"),
        ("abc", "--set abc: expected PATH=VALUE, such as stage1.steps=100"),
        ("a..b=1", "--set a..b=1: expected PATH=VALUE, such as stage1.steps=100"),
        ("=1", "--set =1: expected PATH=VALUE, such as stage1.steps=100"),
        (
            "evaluate.2.seed=1",
            "--set evaluate.2.seed=1: evaluate.2: the list has 2 values, none at '2'; positions count from 0",
        ),
        (
            "evaluate.x=1",
            "--set evaluate.x=1: evaluate.x: the list has 2 values, none at 'x'; positions count from 0",
        ),
        (
            "evaluate.0.seed=1.5",
            "--set evaluate.0.seed=1.5: evaluate.0.seed: expected a whole number, got 1.5",
        ),
        ("name=!!str x", "--set name=!!str x: name: tags are not allowed, got !!str"),
        (
            "encoder.type=acme.konv.v2",
            "--set encoder.type=acme.konv.v2: encoder.type: no encoder named 'acme.konv.v2'; did you mean "
            "'acme.conv.v2' (acme-ulzoo 1.4)?\n    installed: acme.conv.v2, acme.other.v1",
        ),
        ("ulzoo=2", "--set ulzoo=2: ulzoo: expected 1, got 2"),
    ],
)
def test_errors_name_the_flag(message, override, expected):
    assert message(override) == expected


def test_a_value_that_is_not_yaml(message):
    assert message("name=[1").startswith("--set name=[1: name: not YAML: ")


def test_problems_of_flags_follow_those_of_the_file_and_all_come(registry):
    with pytest.raises(SpecError) as caught:
        parse_spec(
            SPEC.replace("steps: 100", "steps: x"),
            source="t.yaml",
            registry=registry,
            overrides=["abc", "seed=-1"],
        )
    assert [problem.where for problem in caught.value.problems] == [
        "t.yaml:13:3",
        "--set abc",
        "--set seed=-1",
    ]


def test_the_text_given_is_not_changed(load):
    assert load(["stage1.steps=3", "stage1.rate_warmup_steps=0"]) != load([])
    assert load([]) == load(())


def test_a_value_of_the_file_that_a_flag_made_wrong_names_the_flag(message):
    """The place is the file's, since the value there is the wrong one; the flag stands below."""
    told = message("stage1.steps=1")
    assert ": stage1.rate_warmup_steps: must be at most steps = 1, got " in told
    assert told.endswith("\n    with --set stage1.steps=1")


@pytest.mark.parametrize("seed", [2**32, 10**20])
def test_seeds_have_32_bits(load, seed):
    """JAX would take the last 32 bits of a longer one, which are another seed's."""
    with pytest.raises(SpecError, match="seed: must be less than 4294967296"):
        load({"seed": seed})
    assert load({"seed": 2**32 - 1}).seed == 2**32 - 1
