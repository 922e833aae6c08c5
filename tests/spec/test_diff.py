"""`diff`: differences by what they mean; equal meaning is no difference and has an equal hash."""

from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

import pytest
from fake_site import SPEC, distribution

from ulzoo.registry import Registry
from ulzoo.spec import (
    ABSENT,
    Component,
    ComponentOf,
    Effect,
    Spec,
    diff,
    diff_text,
    parse_spec,
    show,
    spec_hash,
)
from ulzoo.spec.diff import _unchosen
from ulzoo.spec.dump import resolved
from ulzoo.spec.effect import effect_of

OVERRIDES = MappingProxyType(
    {
        Effect.PARAMETERS: ("encoder.channels=[4]", "prior.network.width=9", "latent.noise=learned"),
        Effect.OBJECTIVE: (
            "seed=1",
            "latent.log_snr=4",
            "precision=bfloat16",
            "stage1.steps=101",
            "stage1.ema=0.5",
            "stage1.rate_warmup_steps=0",
            "stage2.batch_size=9",
            "stage2.optimizer.learning_rate=1",
        ),
        Effect.DATA: ("data.size=8", "data.root=/x"),
        Effect.MEASUREMENT: (
            "sample.count=3",
            "sample.sampler.steps=3",
            "sample.seed=1",
            "evaluate.1.seed=2",
        ),
        Effect.PERFORMANCE: ("sample.batch_size=3", "parallel.mesh.data=1"),
        Effect.NOTHING: (
            "name=other",
            "stage1.log_every=1",
            "stage2.checkpoint_every=10",
            "silence={UL001: why}",
        ),
    }
)
CASES = [(effect, override) for effect, overrides in OVERRIDES.items() for override in overrides]


@pytest.fixture
def load(registry):
    return lambda *overrides, text=SPEC: parse_spec(
        text, source="my.yaml", registry=registry, overrides=overrides
    )


@pytest.mark.parametrize(("effect", "override"), CASES)
def test_the_meaning_of_a_value(load, effect, override):
    old, new = load(), load(override)
    changes = diff(old, new)
    assert [change.effect for change in changes] == [effect]
    assert override.startswith(changes[0].path)
    assert (spec_hash(old) == spec_hash(new)) == (
        effect not in (Effect.PARAMETERS, Effect.OBJECTIVE, Effect.DATA)
    )


def test_values_and_origins(load):
    (change,) = diff(load(), load("encoder.rate=0.25"))
    assert (change.path, change.old, change.new) == ("encoder.rate", 0.1, 0.25)
    assert (change.old_origin, change.new_origin) == ("default", "--set encoder.rate=0.25")
    (back,) = diff(load("encoder.channels=[1]"), load())
    assert (back.old, back.new, back.new_origin) == ([1], [4, 8], "my.yaml:6:3")


def test_spelling_is_no_difference(load):
    spelled = SPEC.replace(
        "{type: acme.decoder.v1}", "{loss_factor: 1.50, type: acme-ulzoo::acme.decoder.v1}"
    )
    other = load("latent.log_snr=5", "seed=0", text=f"# a comment\n{spelled}")
    assert diff(load(), other) == ()
    assert spec_hash(load()) == spec_hash(other)
    assert diff(load(), load(text=show(load()))) == ()


def test_another_component(load):
    changes = {change.path: change for change in diff(load(), load("encoder.type=acme.other.v1"))}
    assert list(changes) == [
        "encoder.type",
        "encoder.depth",
        "encoder.channels",
        "encoder.rate",
        "encoder.wide",
    ]
    assert changes["encoder.depth"].old is ABSENT
    assert changes["encoder.channels"].new is ABSENT


def test_parts_that_only_one_has(load):
    paths = [change.path for change in diff(load(), load("base_model=null", "stage2=null", "evaluate=[]"))]
    assert "base_model.type" in paths
    assert "evaluate.1.seed" in paths
    # Not told beside their parts.
    assert not {"base_model", "stage2", "evaluate"} & set(paths)


def test_what_is_printed(load):
    old, new = load("name=a"), load("name=b", "seed=3", "encoder.type=acme.other.v1")
    assert diff_text(old, new, ("a.yaml", "runs/b")).splitlines() == [
        f"a.yaml  spec {spec_hash(old)}",
        f"runs/b  spec {spec_hash(new)}",
        "",
        "parameters: other parameters, or another function of them; checkpoints do not carry over",
        "  encoder.type: acme.conv.v2 → acme.other.v1  (my.yaml:5:3 → --set encoder.type=acme.other.v1)",
        "  encoder.channels: [4, 8] → absent  (my.yaml:6:3)",
        "",
        "objective: the same parameters, trained for something else or in another way",
        "  seed: 0 → 3  (default → --set seed=3)",
        "",
        "nothing: names, logs, what is kept",
        "  name: a → b  (--set name=a → --set name=b)",
        "",
        "two experiments: the hashes differ",
    ]
    same = diff_text(load(), load("sample.count=1"), ("a", "b"))
    assert same.endswith("\n\nthe same trained weights: the hashes are equal")
    assert diff_text(load(), load(), ("a", "b")).endswith("\n\nno difference in meaning")


def test_defaults_that_a_run_wrote_out_are_not_told(load):
    """A run's resolved spec has them all; of what only it has, the values that someone chose are told."""
    old = load("base_model=null", "stage2=null")
    chosen = ["encoder={type: acme.other.v1}", "prior.extra={type: acme.net.v1, width: 3}"]
    told = []
    for spec in (load(*chosen), written := load(text=show(load(*chosen)))):
        lines = diff_text(old, spec, ("a", "b")).splitlines()
        told.append([line.partition("  (")[0] for line in lines])
    # But for who gave the values, which the text that was written out does not say.
    assert told[0] == told[1]
    assert "  encoder.type: acme.conv.v2 → acme.other.v1" in told[1]
    assert "  prior.extra.width: absent → 3" in told[1]
    assert not [line for line in told[1] if "encoder.depth" in line]
    # Nothing is lost from Python.
    unchosen = {change.path: change.unchosen for change in diff(old, written)}
    assert unchosen["encoder.depth"]
    assert not unchosen["prior.extra.width"]
    assert not unchosen["encoder.channels"]


def test_a_default_that_was_written_by_hand_is_told(load):
    """Of a mapping that leaves other fields out: somebody meant it."""
    text = diff_text(load(), load("encoder.type=acme.other.v1"), ("a", "b"))
    assert "encoder.channels: [4, 8] → absent" in text
    assert "encoder.rate" not in text


def test_the_default_of_a_part_goes_before_those_of_its_fields(load):
    """The prior's schedule begins at −8 unless it is told otherwise, others of its kind at −10."""
    for low, unchosen in ((-8.0, True), (-10.0, False), (-9.0, False)):
        spec = load(text=show(load(f"prior.schedule={{type: acme.linear.v1, low: {low}}}")))
        assert _unchosen(spec, ("prior", "schedule", "low"), resolved(spec)) is unchosen


def test_every_field_of_a_spec_has_a_meaning_that_was_thought_of():
    """A new field must be put here, and so thought about."""
    found = {name: effect_of(Spec, name, Effect.OBJECTIVE).value for name in Spec.model_fields}
    roles = dict.fromkeys(("encoder", "prior", "decoder", "base_model"), "parameters")
    objective = dict.fromkeys(("ulzoo", "seed", "latent", "stage1", "stage2", "precision"), "objective")
    rest = {
        "name": "nothing",
        "data": "data",
        "sample": "measurement",
        "evaluate": "measurement",
        "trackers": "nothing",
        "parallel": "performance",
        "silence": "nothing",
    }
    assert found == roles | objective | rest


class Plain(Component):
    type: Literal["acme.plain.v1"] = "acme.plain.v1"
    unknown: int = 1
    remat: Annotated[bool, Effect.PERFORMANCE] = False
    inner: Annotated[Component, ComponentOf("weighting"), Effect.OBJECTIVE] | None = None
    inners: tuple[Annotated[Component, ComponentOf("weighting"), Effect.DATA], ...] = ()


class Told(Component):
    effect: ClassVar[Effect] = Effect.OBJECTIVE
    type: Literal["acme.told.v1"] = "acme.told.v1"
    unknown: int = 1
    remat: Annotated[bool, Effect.PERFORMANCE] = False


@pytest.mark.parametrize(
    ("model", "name", "held", "effect"),
    [
        # Nothing declared: that of the place, so that an unknown field of a network counts towards the hash.
        (Plain, "unknown", Effect.PARAMETERS, Effect.PARAMETERS),
        (Plain, "unknown", Effect.MEASUREMENT, Effect.MEASUREMENT),
        (Plain, "type", Effect.DATA, Effect.DATA),
        # Declared: the field before the class, the class before the place.
        (Plain, "remat", Effect.PARAMETERS, Effect.PERFORMANCE),
        (Plain, "inner", Effect.PARAMETERS, Effect.OBJECTIVE),
        (Plain, "inners", Effect.PARAMETERS, Effect.DATA),
        (Told, "unknown", Effect.PARAMETERS, Effect.OBJECTIVE),
        (Told, "remat", Effect.PARAMETERS, Effect.PERFORMANCE),
        # Nothing inside what does not touch the weights can claim to.
        (Plain, "inner", Effect.MEASUREMENT, Effect.MEASUREMENT),
        (Told, "unknown", Effect.NOTHING, Effect.NOTHING),
        (Told, "remat", Effect.MEASUREMENT, Effect.PERFORMANCE),
    ],
)
def test_declared_and_undeclared(model, name, held, effect):
    assert effect_of(model, name, held) is effect


def test_where_two_components_disagree_the_graver_counts(fake_folder, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "calm.py").write_text(
        "from typing import Annotated, Literal\n"
        "from ulzoo.spec import Component, Effect\n"
        "class Calm(Component):\n"
        '    type: Literal["calm.conv.v1"] = "calm.conv.v1"\n'
        "    rate: Annotated[float, Effect.PERFORMANCE] = 0.5\n"
        "    def build(self, io, *, key): return None\n"
    )
    distribution(tmp_path, "calm", "1", {"encoder": {"calm.conv.v1": "Calm"}}, "calm")
    registry = Registry([str(fake_folder), str(tmp_path)])
    old, new = (
        parse_spec(SPEC, registry=registry, overrides=o) for o in ([], ["encoder={type: calm.conv.v1}"])
    )
    effects = {change.path: change.effect for change in diff(old, new)}
    assert effects["encoder.rate"] is Effect.PARAMETERS
    both = parse_spec(SPEC, registry=registry, overrides=["encoder={type: calm.conv.v1, rate: 0.7}"])
    assert [change.effect for change in diff(new, both)] == [Effect.PERFORMANCE]
    assert spec_hash(new) == spec_hash(both)
