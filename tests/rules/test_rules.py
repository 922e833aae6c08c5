"""Each rule: what makes it speak, that it is silent otherwise, and how it is silenced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ulzoo.declarations import Declarations
from ulzoo.errors import SpecError
from ulzoo.explanation import explain
from ulzoo.rules import RULES, Facts, check_silence, warnings_of
from ulzoo.spec import load_spec, parse_spec

SPECS = sorted((Path(__file__).parents[2] / "specs").rglob("*.yaml"))

SOUND = """\
ulzoo: 1
data: {type: ulzoo.digits.v1, size: 16}
encoder: {type: ulzoo.resnet.v1, channels: [32, 64], blocks: [1, 1], latent_channels: 4}
prior: {type: ulzoo.diffusion_prior.v1, network: {type: ulzoo.vit.v1, width: 96, depth: 3}}
decoder:
  type: ulzoo.diffusion_decoder.v1
  network: {type: ulzoo.vit.v1, width: 96, depth: 2}
  weighting: {type: ulzoo.sigmoid.v1, loss_factor: 3.0, bias: 3.0}
base_model: {type: ulzoo.diffusion_base.v1, network: {type: ulzoo.vit.v1, width: 96, depth: 3}}
stage1: {steps: 1000, batch_size: 64, rate_warmup_steps: 300}
stage2: {steps: 2000, batch_size: 64}
evaluate: [{type: ulzoo.bits_per_pixel.v1}, {type: ulzoo.pca_frechet.v1}]
"""

FID = "{type: ulzoo.fid.v1, features: {weights: x}"
MSE = "{type: ulzoo.mse_decoder.v1, network: {type: ulzoo.vit.v1, width: 8, depth: 1}, loss_factor: 0.5}"


def steered(target):
    """Overrides that give a rate: 0.0125 bits per pixel and 32 bytes are 0.05 and 4 bits per latent value."""
    weighting = f"{{type: ulzoo.steered_sigmoid.v1, rate_target: {{{target}}}, loss_factor: 3.0}}"
    return [f"decoder.weighting={weighting}"]


def predicting(given):
    """Overrides that give frames in training, and measure predictions from five."""
    conditioner = f"{{type: ulzoo.given_frames.v1, given: [{given}]}}"
    metrics = "[{type: ulzoo.psnr.v1}, {type: ulzoo.prediction_psnr.v1, given: 5}]"
    return [f"base_model.conditioners=[{conditioner}]", f"evaluate={metrics}"]


def test_a_sound_rate_target_is_not_warned_about(told):
    assert told(*steered("bits_per_pixel: 0.2")) == []


@pytest.fixture
def told(builtin_registry):
    """(code, path) of each warning about the sound spec with changes."""

    def warnings(
        *overrides, data=(1, 16, 16), latent=(4, 4, 4), parameters=(10, 10, 10, 20), is_bound=True, **more
    ):
        spec = parse_spec(SOUND, overrides=overrides, registry=Declarations(builtin_registry))
        roles = ("encoder", "prior", "decoder", "base_model")[: 3 if spec.base_model is None else 4]
        facts = Facts(spec, data, latent, dict(zip(roles, parameters, strict=False)), is_bound, **more)
        return [(warning.code, warning.problem.path) for warning in warnings_of(facts)]

    return warnings


def test_a_sound_spec_is_not_warned_about(told):
    assert told() == []


@pytest.mark.parametrize(
    ("code", "path", "overrides", "facts"),
    [
        ("UL001", "decoder.weighting.loss_factor", ["decoder.weighting.loss_factor=1"], {}),
        ("UL002", "decoder.weighting.bias", ["decoder.weighting.bias=0"], {}),
        ("UL002", "decoder.weighting.bias", ["decoder.weighting.bias=6.5"], {}),
        ("UL002", "decoder.weighting.bias", [], {"data": (3, 512, 512), "latent": (32, 64, 64)}),
        ("UL003", "base_model.weighting.bias", ["base_model.weighting.bias=3"], {}),
        ("UL018", "decoder.weighting.rate_target", steered("bits_per_pixel: 0.012"), {}),
        ("UL018", "decoder.weighting.rate_target", steered("bytes_per_image: 33"), {}),
        ("UL020", "decoder.weighting", [*steered("bits_per_pixel: 0.2"), "stage1.rate_warmup_steps=500"], {}),
        ("UL004", "latent.log_snr", ["latent.log_snr=10"], {}),
        ("UL005", "stage1.rate_warmup_steps", ["stage1.rate_warmup_steps=0"], {}),
        ("UL006", "stage1.rate_warmup_steps", ["stage1.rate_warmup_steps=800"], {}),
        ("UL007", "prior", [], {"is_bound": False}),
        ("UL008", "decoder.schedule.log_snr_min", ["decoder.schedule.log_snr_min=-5"], {}),
        ("UL008", "prior.schedule.log_snr_min", ["prior.schedule.log_snr_min=-9"], {}),
        ("UL009", "encoder.latent_channels", [], {"latent": (4, 1, 2)}),
        ("UL009", "encoder", ["encoder={type: ulzoo.identity.v1}"], {"latent": (1, 1, 2)}),
        ("UL010", "base_model.network", [], {"parameters": (10, 10, 10, 9)}),
        ("UL011", "stage1.ema", ["stage1.ema=0"], {}),
        ("UL011", "stage2.ema", ["stage2.ema=0"], {}),
        ("UL012", "stage2.batch_size", ["stage2.batch_size=60"], {}),
        ("UL013", "evaluate", ["evaluate=[]"], {}),
        ("UL013", "evaluate", ["evaluate=[{type: ulzoo.psnr.v1, split: train}]"], {}),
        ("UL014", "evaluate.1.count", ["evaluate.1.count=200"], {}),
        ("UL014", "evaluate.0.count", ["evaluate.0.count=16"], {}),
        ("UL014", "evaluate.1.count", [f"evaluate=[{{type: ulzoo.psnr.v1}}, {FID}, count: 9999}}]"], {}),
        ("UL021", "evaluate.1.given", predicting("[1, 0], [5, 1]"), {}),
        ("UL015", "parallel.mesh.fsdp", ["parallel.mesh.fsdp=2"], {"divided": {"fsdp": 0.79}}),
        ("UL015", "parallel.mesh.tensor", [], {"divided": {"fsdp": 0.9, "tensor": 0.1}}),
        ("UL016", "parallel.rules.1.match", [], {"idle_rules": ("parallel.rules.1",)}),
        ("UL017", "precision.params", ["precision={params: bfloat16}"], {}),
    ],
)
def test_a_rule_speaks(told, code, path, overrides, facts):
    assert told(*overrides, **facts) == [(code, path)]


@pytest.mark.parametrize(
    ("overrides", "facts"),
    [
        # Just inside each bound.
        (["decoder.weighting.loss_factor=1.01"], {}),
        (["decoder.weighting.bias=2.2"], {}),
        (["decoder.weighting.bias=6.1"], {}),
        (["base_model.weighting.bias=2.9"], {}),
        (["latent.log_snr=7"], {}),
        (["stage1.rate_warmup_steps=750"], {}),
        (["prior.schedule.log_snr_min=-10"], {}),
        (["evaluate.1.count=320"], {}),
        ([f"evaluate=[{{type: ulzoo.psnr.v1}}, {FID}, count: 10000}}]"], {}),
        # Large models are not known to collapse, and a prior without parameters cannot overcharge.
        (["stage1.rate_warmup_steps=0"], {"parameters": (10_000_000, 10, 10, 20)}),
        (["stage1.rate_warmup_steps=0", "prior={type: ulzoo.normal_prior.v1}"], {"parameters": (9, 0, 9, 9)}),
        # The resolution is that of the frames, not of time; what has no image has none.
        ([], {"data": (3, 8, 16, 16), "latent": (32, 4, 4, 4)}),
        ([], {"data": (1, 64), "latent": (4, 8)}),
        # A stated number of devices is checked as it is.
        (["stage2.batch_size=60", "parallel.mesh.data=2"], {}),
        (["stage2.batch_size=60", "parallel.mesh={fsdp: 2}"], {}),
        (["parallel.mesh.fsdp=2"], {"divided": {"fsdp": 0.8}}),
        (["precision={compute: bfloat16, reduction: bfloat16}"], {}),
        # A decoder without such a weighting, no base model, metrics without a split: nothing is assumed.
        ([f"decoder={MSE}"], {}),
        (predicting("[1, 0], [5, 0]"), {}),
        (predicting("[1, 0]")[:1], {}),
        (["base_model=null", "stage2=null", "evaluate=[{type: ulzoo.psnr.v1}]"], {}),
        (["evaluate=[{type: ulzoo.conditional_accuracy.v1, count: 100, components: 20}]"], {}),
    ],
)
def test_rules_are_silent(told, overrides, facts):
    assert told(*overrides, **facts) == []


def test_the_bias_that_fits_is_that_of_sid2(told):
    """SiD2's own biases at its own sizes; the tolerance is not used up by them."""
    for edge, bias in ((128, 0.0), (256, -1.0), (512, -3.0), (1024, -4.0)):
        data, latent = (3, edge, edge), (32, edge // 16, edge // 16)
        given = [f"decoder.weighting.bias={bias}", f"base_model.weighting.bias={bias - 1}"]
        assert told(*given, data=data, latent=latent) == []


def test_every_rule_is_tried_and_explained():
    codes = [rule.code for rule in RULES]
    assert codes == sorted(set(codes))
    assert all(re.fullmatch("UL[0-9]{3}", code) for code in codes)
    tried = {parameter[0] for parameter in test_a_rule_speaks.pytestmark[0].args[1]}
    assert tried == set(codes)
    for rule in RULES:
        assert rule.title
        assert "\n\nDo: " in rule.reason, rule.code


def test_a_silenced_rule_is_silent(told):
    assert told("evaluate=[]", "silence={UL013: measured elsewhere}") == []


def test_an_idle_silence_is_told(told):
    assert told("silence={UL013: measured elsewhere}") == [("UL000", "silence.UL013")]


@pytest.mark.parametrize(
    ("silence", "text"),
    [
        ("{UL099: why}", "silence.UL099: no rule has the code 'UL099'; did you mean 'UL009'?"),
        ("{UL000: why}", "silence.UL000: no rule has the code 'UL000'"),
        ("{typo: why}", "silence.typo: no rule has the code 'typo'\n    codes: UL001, UL002"),
        ("{UL001: ''}", "silence.UL001: needs a reason, got ''"),
        ("{UL001: '  '}", "silence.UL001: needs a reason, got '  '"),
        ("{UL001: null}", "silence.UL001: expected text, got null"),
        ("[UL001]", "silence: expected a mapping, got ['UL001']"),
    ],
)
def test_a_wrong_silence_is_an_error(builtin_registry, silence, text):
    with pytest.raises(SpecError) as error:
        check_silence(
            parse_spec(SOUND, overrides=[f"silence={silence}"], registry=Declarations(builtin_registry))
        )
    assert text in str(error.value)


def test_warnings_stand_in_their_place(builtin_registry):
    text = SOUND.replace("loss_factor: 3.0", "loss_factor: 0.5")
    spec = parse_spec(text, source="my.yaml", registry=Declarations(builtin_registry))
    facts = Facts(
        spec, (1, 16, 16), (4, 4, 4), {"encoder": 1, "prior": 1, "decoder": 1, "base_model": 1}, True
    )
    assert [str(warning) for warning in warnings_of(facts)] == [
        "my.yaml:8:39: warning UL001: decoder.weighting.loss_factor: at 0.5 no information pays to go through"
        " the latent; give more than 1"
    ]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_specs_that_come_along_are_not_warned_about(path, builtin_registry):
    assert [str(warning) for warning in explain(load_spec(path, registry=builtin_registry)).warnings] == []


def test_facts_are_those_of_the_assembly(builtin_registry):
    """A prior that is no bound, a latent of few values and a small base model, found by assembling."""
    spec = parse_spec(
        SOUND,
        overrides=[
            "prior.stop_gradient=true",
            "encoder.factors=[8]",
            "encoder.latent_channels=1",
            "base_model.network.depth=1",
        ],
        registry=builtin_registry,
    )
    assert {warning.code for warning in explain(spec).warnings} == {"UL007", "UL009", "UL010"}
