"""Specs from text: values, defaults, and the very text of what is wrong."""

import pytest
from fake_site import SPEC

from ulzoo.errors import Problem, SpecError
from ulzoo.spec import check_structure, load_spec, parse_spec, problem_at, spec_where, uses


def change(*pairs):
    text = SPEC
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def message(registry):
    def message(text, **options):
        with pytest.raises(SpecError) as caught:
            parse_spec(text, source="specs/tiny.yaml", registry=registry, **options)
        assert "pydantic" not in str(caught.value)
        assert "nput should" not in str(caught.value)
        return str(caught.value)

    return message


def test_a_spec_is_read_with_its_defaults(registry):
    spec = parse_spec(SPEC, registry=registry)
    assert (spec.ulzoo, spec.name, spec.seed, spec.precision) == (1, "tiny", 0, "float32")
    assert (spec.latent.log_snr, spec.latent.noise) == (5.0, "fixed")
    assert spec.encoder.channels == (4, 8)
    assert spec.prior.network.width == 8
    assert spec.prior.schedule.low == -8.0
    assert spec.stage1.optimizer.learning_rate == 1e-3
    assert spec.stage2.checkpoint_every is None
    assert spec.sample.decoder_sampler.steps == 64
    assert [metric.seed for metric in spec.evaluate] == [0, 1]
    assert spec.parallel.mesh == {"data": -1}


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (
            [("  channels:", "  chanels:")],
            "6:3: encoder.chanels: unknown field; did you mean 'channels'?",
        ),
        (
            [("acme.conv.v2", "acme.conv.v1")],
            "5:3: encoder.type: no encoder named 'acme.conv.v1'; did you mean 'acme.conv.v2' "
            "(acme-ulzoo 1.4)?\n    installed: acme.conv.v2, acme.other.v1",
        ),
        (
            [("width: 8}", "width: 8, zzz: 1}")],
            "9:42: prior.network.zzz: unknown field\n    fields here: type, width",
        ),
        (
            [("steps: 100", "steps: 1.0")],
            "13:3: stage1.steps: expected a whole number, got 1.0",
        ),
        (
            [("steps: 100", "steps: true")],
            "13:3: stage1.steps: expected a whole number, got true",
        ),
        (
            [("steps: 100", "steps: no")],
            "13:3: stage1.steps: expected a whole number, got 'no'",
        ),
        (
            [("steps: 100", "steps: '100'")],
            "13:3: stage1.steps: expected a whole number, got '100'",
        ),
        ([("steps: 100", "steps:")], "13:3: stage1.steps: expected a whole number, got null"),
        ([("  steps: 100\n", "")], "12:1: stage1.steps: missing"),
        (
            [("batch_size: 8\n", "batch_size: 0\n")],
            "14:3: stage1.batch_size: must be greater than 0, got 0",
        ),
        (
            [("name: tiny", "name: a b")],
            "2:1: name: must be one word of letters, digits, '.', '_' and '-', got 'a b'",
        ),
        ([("name: tiny", "name: 3")], "2:1: name: expected text, got 3"),
        ([("name: tiny", "seed: -1")], "2:1: seed: must be at least 0, got -1"),
        (
            [("name: tiny", "latent: {log_snr: 21}")],
            "2:10: latent.log_snr: must be at most 20, got 21",
        ),
        (
            [("name: tiny", "latent: {log_snr: .nan}")],
            "2:10: latent.log_snr: expected a finite number, got nan",
        ),
        (
            [("name: tiny", "latent: {log_snr: 1e999}")],
            "2:10: latent.log_snr: expected a finite number, got inf",
        ),
        (
            [("name: tiny", "latent: {noise: none}")],
            "2:10: latent.noise: expected 'fixed', 'learned' or 'random', got 'none'",
        ),
        ([("name: tiny", "latent: 5")], "2:1: latent: expected a mapping, got 5"),
        (
            [("name: tiny", "evaluat: []")],
            "2:1: evaluat: unknown field; did you mean 'evaluate'?",
        ),
        (
            [("name: tiny", "parallel: {mesh: {model: 2}}")],
            "2:19: parallel.mesh.model: unknown key; expected 'data', 'fsdp' or 'tensor'",
        ),
        (
            [("name: tiny", "parallel: {mesh: {data: 0}}")],
            "2:12: parallel.mesh: the size of axis 'data' must be positive, or -1 for all devices, got 0",
        ),
        (
            [("name: tiny", "parallel: {mesh: {}}")],
            "2:12: parallel.mesh: expected at least 1 value, got a mapping",
        ),
        (
            [("name: tiny", "sample: {guidance: {log_snr_interval: [1]}}")],
            "2:21: sample.guidance.log_snr_interval: expected at least 2 values, got [1]",
        ),
        (
            [("name: tiny", "sample: {guidance: {log_snr_interval: [1, 2, 3]}}")],
            "2:21: sample.guidance.log_snr_interval: expected at most 2 values, got [1, 2, 3]",
        ),
        (
            [("name: tiny", "sample: {guidance: {log_snr_interval: [2, 1]}}")],
            "2:21: sample.guidance.log_snr_interval: the lower end must be below the upper end, got [2, 1]",
        ),
        (
            [("name: tiny", "sample: {sampler: {steps: 3}}")],
            "2:10: sample.sampler.type: missing; expected a mapping whose 'type' names a "
            "component of kind sampler",
        ),
        (
            [("size: 16", "size: x")],
            "3:28: data.size: expected a whole number or a list, got 'x'",
        ),
        (
            [("size: 16", "size: [1, x]")],
            "3:38: data.size.1: expected a whole number, got 'x'",
        ),
        (
            [("size: 16", "size: [1]")],
            "3:28: data.size: expected a whole number or at least 2 values, got [1]",
        ),
        ([("[4, 8]", "[]")], "6:3: encoder.channels: expected at least 1 value, got []"),
        ([("[4, 8]", "4")], "6:3: encoder.channels: expected a list, got 4"),
        (
            [("[4, 8]", "[4, 8]\n  wide: 1")],
            "7:3: encoder.wide: expected true or false, got 1",
        ),
        ([("ulzoo: 1", "ulzoo: 2")], "1:1: ulzoo: expected 1, got 2"),
        ([("ulzoo: 1", "ulzoo: 1.0")], "1:1: ulzoo: expected 1, got 1.0"),
        ([("ulzoo: 1", "ulzoo: true")], "1:1: ulzoo: expected 1, got true"),
        ([("ulzoo: 1\n", "")], "1:1: ulzoo: missing"),
        (
            [("network: {type: acme.net.v1, width: 8}", "network: acme.net.v1")],
            "9:3: prior.network: expected a mapping whose 'type' names a component of kind network, "
            "got 'acme.net.v1'\n    write {type: acme.net.v1}",
        ),
        (
            [("{type: acme.metric.v1}", "{type: 3}")],
            "18:6: evaluate.0.type: expected the name of a component of kind metric, got 3",
        ),
        (
            [("acme.prior.v1\n", "acme.prior.v1\n  schedule: {type: acme.linear.v1, high: -11}\n")],
            "9:36: prior.schedule.high: must be above low = -10.0, got -11.0",
        ),
        (
            [("rate_warmup_steps: 10", "rate_warmup_steps: 101")],
            "15:3: stage1.rate_warmup_steps: must be at most steps = 100, got 101",
        ),
        (
            [("base_model: {type: acme.base.v1}\n", "")],
            "15:1: stage2: base_model and stage2 go together: stage2 is given, base_model is not",
        ),
        (
            [("stage2: {steps: 50, batch_size: 8}\n", "")],
            "1:1: stage2: base_model and stage2 go together: base_model is given, stage2 is not",
        ),
    ],
)
def test_one_problem(message, pairs, expected):
    assert message(change(*pairs)) == f"specs/tiny.yaml:{expected}"


def test_problems_of_all_components_and_the_structure_come_at_once_sorted(message):
    text = change(
        ("size: 16", "size: 16, rot: x"),
        ("acme.conv.v2", "nope"),
        ("width: 8", "width: -8"),
        ("acme.decoder.v1", "acme.decoder.v1, kind: z"),
        ("steps: 100", "steps: 5"),
        ("seed: 1", "seed: x"),
    )
    assert message(text).splitlines() == [
        "specs/tiny.yaml:3:38: data.rot: unknown field; did you mean 'root'?",
        "specs/tiny.yaml:5:3: encoder.type: no encoder named 'nope'",
        "    installed: acme.conv.v2, acme.other.v1",
        "specs/tiny.yaml:9:32: prior.network.width: must be greater than 0, got -8",
        "specs/tiny.yaml:10:34: decoder.kind: expected 'x' or 'v', got 'z'",
        "specs/tiny.yaml:15:3: stage1.rate_warmup_steps: must be at most steps = 5, got 10",
        "specs/tiny.yaml:19:28: evaluate.1.seed: expected a whole number, got 'x'",
    ]


def test_values_are_read_strictly_but_an_integer_is_a_number(registry):
    text = change(("name: tiny", "latent: {log_snr: 4}"), ("[4, 8]", "[4, 8]\n  rate: 1e-4"))
    spec = parse_spec(text, registry=registry)
    assert isinstance(spec.latent.log_snr, float)
    assert spec.encoder.rate == 1e-4


@pytest.mark.parametrize(("text", "found"), [("- 1", "[1]"), ("3", "3"), ("a b", "'a b'")])
def test_a_text_that_is_no_mapping(message, text, found):
    assert message(text) == f"specs/tiny.yaml:1:1: expected a mapping, got {found}"


@pytest.mark.parametrize("text", ["", "# nothing\n", "~"])
def test_an_empty_text(message, text):
    assert message(text) == "specs/tiny.yaml:1:1: empty; a spec is a mapping that starts with 'ulzoo: 1'"


def test_the_first_pass_finds_structure_and_names_only(registry, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(
        change(("width: 8", "width: x"), ("acme.conv.v2", "acme.conv.v1"), ("steps: 100", "stepz: 100"))
    )
    with pytest.raises(SpecError) as caught:
        check_structure(path, registry=registry)
    assert [(problem.path, problem.text) for problem in caught.value.problems] == [
        ("encoder.type", "no encoder named 'acme.conv.v1'; did you mean 'acme.conv.v2' (acme-ulzoo 1.4)?"),
        ("stage1.steps", "missing"),
        ("stage1.stepz", "unknown field; did you mean 'steps'?"),
    ]
    path.write_text(change(("width: 8", "width: x")))
    check_structure(path, registry=registry)


def test_places_serve_later_passes(registry, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(SPEC)
    spec = load_spec(path, ["stage1.batch_size=12"], registry)
    assert spec_where(spec, "stage1.steps") == (f"{path}:13:3", (0, 13, 3))
    assert spec_where(spec, "evaluate.1.seed") == (f"{path}:19:28", (0, 19, 28))
    assert spec_where(spec, "prior.schedule.low") == (f"{path}:7:1", (0, 7, 1))
    assert spec_where(spec, "sample") == (f"{path}:1:1", (0, 1, 1))
    problem = problem_at(spec, "stage1.batch_size", "12 is not a multiple of 8", ["nearest are 8 and 16"])
    assert problem == Problem(
        "--set stage1.batch_size=12",
        "stage1.batch_size",
        "12 is not a multiple of 8",
        ("nearest are 8 and 16",),
        (1, 0, 0),
    )


def test_uses_are_all_components_with_their_kinds(registry):
    spec = parse_spec(SPEC, registry=registry)
    assert [(use.path, use.kind, use.component.type) for use in uses(spec)] == [
        ("data", "dataset", "acme.data.v1"),
        ("encoder", "encoder", "acme.conv.v2"),
        ("prior", "prior", "acme.prior.v1"),
        ("prior.network", "network", "acme.net.v1"),
        ("prior.schedule", "schedule", "acme.linear.v1"),
        ("decoder", "decoder", "acme.decoder.v1"),
        ("base_model", "base_model", "acme.base.v1"),
        ("stage1.optimizer", "optimizer", "ulzoo.adam.v1"),
        ("stage2.optimizer", "optimizer", "ulzoo.adam.v1"),
        ("sample.sampler", "sampler", "ulzoo.ddim.v1"),
        ("sample.decoder_sampler", "sampler", "ulzoo.ddim.v1"),
        ("evaluate.0", "metric", "acme.metric.v1"),
        ("evaluate.1", "metric", "acme.metric.v1"),
    ]
    origins = {registry.provenance(use.kind, use.component).origin for use in uses(spec)}
    assert origins == {"acme-ulzoo 1.4", "ulzoo 0.1.0"}
