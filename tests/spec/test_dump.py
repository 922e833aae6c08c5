"""Resolved specs, their YAML and their hash."""

import hashlib

import pytest
from fake_site import SPEC, distribution
from hypothesis import example, given
from hypothesis import strategies as st

from ulzoo.registry import Registry
from ulzoo.spec import dump_yaml, parse_spec, resolved, spec_hash


@pytest.fixture
def load(registry):
    return lambda *overrides, text=SPEC: parse_spec(text, registry=registry, overrides=overrides)


def test_the_dump_has_all_defaults_and_loads_back(load):
    spec = load()
    text = dump_yaml(spec)
    assert load(text=text) == spec
    assert dump_yaml(load(text=text)) == text
    assert text.startswith("ulzoo: 1\nname: tiny\nseed: 0\ndata: {type: acme.data.v1, size: 16, root: .}\n")
    assert "  checkpoint_every: null\n" in text
    assert resolved(spec)["prior"]["schedule"] == {"type": "acme.linear.v1", "low": -8.0, "high": 5.0}


@given(root=st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), max_size=12))
@example("no")
@example("1e-4")
@example("0o17")
@example("~")
@example("null")
@example("<<")
@example("1:30")
@example("=")
@example("- a")
@example("a: b # c")
@example(" x\n\ty ")
@example("\u2028\x85")
@example("a\x07\x1b b\x00")
def test_any_text_survives_the_dump(registry, root):
    spec = parse_spec(SPEC, registry=registry, overrides={"data.root": root})
    assert parse_spec(dump_yaml(spec), registry=registry).data.root == root


@given(number=st.floats(allow_nan=False, allow_infinity=False))
@example(1e-5)
@example(1e22)
@example(-0.0)
def test_any_number_survives_the_dump(registry, number):
    spec = parse_spec(SPEC, registry=registry, overrides={"decoder.loss_factor": number})
    assert parse_spec(dump_yaml(spec), registry=registry).decoder.loss_factor == number


def test_the_hash_is_a_fixed_function_of_the_spec(load):
    # Written out by hand. Runs are known by their hash: if it changes, those that exist cannot be resumed.
    optimizer = '"optimizer":{"learning_rate":0.001,"type":"ulzoo.adam.v1"}'
    canonical = (
        '{"base_model":{"type":"acme.base.v1"},'
        '"data":{"root":".","size":16,"type":"acme.data.v1"},'
        '"decoder":{"kind":"v","loss_factor":1.5,"type":"acme.decoder.v1"},'
        '"encoder":{"channels":[4,8],"rate":0.1,"type":"acme.conv.v2","wide":false},'
        '"latent":{"log_snr":5,"noise":"fixed"},'
        '"precision":"float32",'
        '"prior":{"conditioners":[],"extra":null,"network":{"type":"acme.net.v1","width":8},'
        '"schedule":{"high":5,"low":-8,"type":"acme.linear.v1"},"type":"acme.prior.v1"},'
        '"seed":0,'
        '"stage1":{"batch_size":8,"ema":0.9999,' + optimizer + ',"rate_warmup_steps":10,"steps":100},'
        '"stage2":{"batch_size":8,"ema":0.9999,' + optimizer + ',"steps":50},'
        '"ulzoo":1}'
    )
    assert spec_hash(load()) == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize(
    "override",
    [
        "name=other",
        "sample.count=3",
        "sample.sampler.steps=3",
        "evaluate=[]",
        "parallel.mesh.data=1",
        "stage1.log_every=1",
        "stage1.readers=7",
        "stage2.checkpoint_every=10",
        "decoder.loss_factor=1.50",
        "seed=0",
    ],
)
def test_the_hash_ignores_what_does_not_change_the_weights(load, override):
    assert spec_hash(load(override)) == spec_hash(load())


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "precision=bfloat16",
        "data.size=8",
        "latent.log_snr=4",
        "encoder.rate=0.2",
        "prior.schedule.low=-9",
        "stage1.steps=101",
        "stage1.ema=0.9",
        "stage1.rate_warmup_steps=0",
        "stage2.optimizer.learning_rate=1",
    ],
)
def test_the_hash_sees_what_does(load, override):
    assert spec_hash(load(override)) != spec_hash(load())


def test_an_integer_in_a_number_field_hashes_like_the_number(load):
    assert spec_hash(load("decoder.loss_factor=2")) == spec_hash(load("decoder.loss_factor=2.0"))
    assert spec_hash(load("decoder.loss_factor=2")) != spec_hash(load("decoder.loss_factor=2.1"))


def test_a_name_with_its_distribution_is_kept_in_the_dump_and_not_in_the_hash(load, fake_folder, tmp_path):
    distribution(tmp_path, "rival", "3", {"decoder": {"acme.decoder.v1": "Decoder"}}, "fake_rival")
    registry = Registry([str(fake_folder), str(tmp_path)])
    text = SPEC.replace("acme.decoder.v1", "acme-ulzoo::acme.decoder.v1")
    spec = parse_spec(text, registry=registry)
    assert resolved(spec)["decoder"]["type"] == "acme-ulzoo::acme.decoder.v1"
    assert parse_spec(dump_yaml(spec), registry=registry) == spec
    assert spec_hash(spec) == spec_hash(load())
