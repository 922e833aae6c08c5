"""Specs and configurations made in Python, without a file and without a registry at hand."""

import sys

import pytest
from fake_site import SPEC
from pydantic import ValidationError

from ulzoo.errors import RegistryError
from ulzoo.registry import Registry
from ulzoo.spec import Latent, Spec, Stage1, Stage2, parse_spec, problem_at, resolved, spec_hash, spec_where


@pytest.fixture
def acme(registry, fake_folder, monkeypatch):
    """The classes, in an environment where they are what is installed."""
    monkeypatch.setattr(sys, "path", [str(fake_folder), *sys.path])
    kinds = ("dataset", "encoder", "network", "schedule", "prior", "decoder", "base_model", "metric")
    entries = [entry for kind in kinds for entry in registry.entries(kind)]
    return {entry.target.partition(":")[2]: registry.load(entry.kind, entry.name) for entry in entries}


def test_a_spec_made_in_python_equals_the_one_from_text(registry, acme):
    made = Spec(
        ulzoo=1,
        name="tiny",
        data=acme["Data"](size=16),
        encoder=acme["Encoder"](channels=(4, 8)),
        prior=acme["Prior"](network=acme["Network"](width=8)),
        decoder=acme["Decoder"](),
        base_model=acme["Base"](),
        stage1=Stage1(steps=100, batch_size=8, rate_warmup_steps=10),
        stage2=Stage2(steps=50, batch_size=8),
        evaluate=(acme["Metric"](), acme["Metric"](seed=1)),
    )
    read = parse_spec(SPEC, registry=registry)
    assert resolved(made) == resolved(read)
    assert spec_hash(made) == spec_hash(read)
    assert spec_where(made, "stage1.steps") == ("<spec>", (0, 0, 0))
    assert str(problem_at(made, "stage1.steps", "too few")) == "<spec>: stage1.steps: too few"


def test_instances_are_taken_as_they_are(acme):
    network = acme["Network"](width=2)
    schedule = acme["Schedule"](high=4.0)
    prior = acme["Prior"](network=network, schedule=schedule, extra=network, conditioners=[network])
    assert prior.network is network
    assert prior.schedule is schedule
    assert prior.extra is network
    assert prior.conditioners == (network,)
    assert hash(prior) == hash(prior.model_copy())


def test_a_default_component_comes_from_what_is_installed(acme):
    assert acme["Prior"](network=acme["Network"](width=2)).schedule == acme["Schedule"](low=-8.0)


def test_a_mapping_is_resolved_in_python_too(acme):
    prior = acme["Prior"](network={"type": "acme.net.v1", "width": 2}, schedule=acme["Schedule"]())
    assert prior.network == acme["Network"](width=2)


def test_an_absent_default_is_an_error_that_names_it(acme, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(RegistryError, match="is not installed"):
        acme["Prior"](network=acme["Network"](width=2))


def test_the_same_rules_hold(acme):
    with pytest.raises(ValidationError, match="must be at most steps = 5, got 6"):
        Stage1(steps=5, batch_size=1, rate_warmup_steps=6)
    with pytest.raises(ValidationError, match="finite"):
        Latent(log_snr=float("nan"))
    with pytest.raises(ValidationError, match="frozen"):
        Latent().log_snr = 3.0


def test_a_spec_of_local_classes(registry, acme):
    local = Registry([]).with_local("network", acme["Network"])
    assert local.load("network", "acme.net.v1") is acme["Network"]
    with pytest.raises(RegistryError, match="no encoder named"):
        local.find("encoder", "acme.conv.v2")
