"""Parameters and FLOPs by role, and what is said of roles that do not fit."""

import re
from typing import Literal

import equinox as eqx
import jax
import pytest
from tiny import SPEC

from ulzoo.assemble import assemble
from ulzoo.components.encoders.resnet import ResNet, ResNetConfig
from ulzoo.errors import InterfaceError, SpecError
from ulzoo.inspection import inspect
from ulzoo.interfaces import PriorIO
from ulzoo.spec import Component, parse_spec


def inspected(text, registry):
    spec = parse_spec(text, source="tiny.yaml", registry=registry)
    return inspect(assemble(spec), spec)


def refused(text, registry):
    with pytest.raises(SpecError) as error:
        inspected(text, registry)
    return str(error.value).split("\n")


def test_shapes_parameters_and_flops_by_role(assembly, first_stage):
    reports = {report.role: report for report in inspect(assembly)}
    assert list(reports) == ["encoder", "prior", "decoder", "base_model"]
    shapes = {role: (report.input_shape, report.output_shape) for role, report in reports.items()}
    assert shapes["encoder"] == ((1, 8, 8), (2, 4, 4))
    assert shapes["prior"] == ((2, 4, 4), (2, 4, 4))
    assert shapes["decoder"] == ((2, 4, 4), (1, 8, 8))
    # Against what really was allocated; the sigmoid's two numbers are not trained but are the decoder's.
    for role, knobs in (("encoder", 0), ("prior", 0), ("decoder", 2)):
        trained = sum(leaf.size for leaf in jax.tree.leaves(getattr(first_stage.first.params, role)))
        assert reports[role].parameters == trained + knobs


def test_flops_of_a_transformer_by_hand(assembly):
    tokens, width, embedding = 16, 8, 8
    block = (
        tokens * width * 3 * width  # queries, keys, values
        + 2 * tokens * tokens * width  # logits and mixing, all heads
        + tokens * width * width
        + 2 * tokens * width * 4 * width
        + embedding * 6 * width  # modulation
    )
    embedding_mlp = 64 * embedding + embedding * embedding
    ends = tokens * 2 * width + embedding * 2 * width + tokens * width * 2
    expected = 2 * (block + embedding_mlp + ends)
    assert next(report.flops for report in inspect(assembly) if report.role == "prior") == expected


def test_several_roles_that_do_not_fit_are_all_named_with_their_lines(builtin_registry):
    text = (
        SPEC.replace(
            "{type: ulzoo.vit.v1, width: 8, depth: 1, heads: 2, embedding_width: 8}",
            "{type: ulzoo.vit.v1, width: 8, depth: 1, heads: 3}",
            1,
        )
        .replace("    patch: 2\n", "    patch: 3\n")
        .replace(
            "width: 8, depth: 1, heads: 2, embedding_width: 8}\n  weighting",
            "width: 8, depth: 1, patch: [1, 2, 2]}\n  weighting",
        )
    )
    lines = refused(text, builtin_registry)
    assert lines[0].startswith("tiny.yaml:7:")
    assert lines[0].endswith("prior.network.heads: 3 heads do not divide width 8 into even parts")
    assert lines[1].startswith(
        "tiny.yaml:15:5: decoder.network.patch: extents (8, 8) are not multiples of (3, 3)"
    )
    assert lines[2].startswith("tiny.yaml:22:")
    assert lines[2].endswith(
        "base_model.network.patch: [1, 2, 2] has 3 entries, but the data has 2 spatial axes"
    )
    assert len(lines) == 3


def test_an_encoder_that_does_not_divide_the_data(builtin_registry):
    text = SPEC.replace("latent_channels: 2}", "latent_channels: 2, patch: [3, 2]}")
    (line,) = refused(text, builtin_registry)
    assert line.startswith("tiny.yaml:4:")
    assert line.endswith("encoder.patch: extents (8, 8) are not multiples of (3, 2)")


def test_learned_noise_needs_an_encoder_that_has_a_variance(builtin_registry):
    text = SPEC.replace("{log_snr: 5.0}", "{noise: learned}").replace(
        "{type: ulzoo.resnet.v1, channels: [8], blocks: [1], latent_channels: 2}", "{type: ulzoo.identity.v1}"
    )
    (line,) = refused(text, builtin_registry)
    assert line == (
        "tiny.yaml:4:1: encoder: the identity encoder has no variance to learn; use latent.noise: fixed"
    )


def test_a_base_model_that_wants_labels_of_data_without(builtin_registry, tmp_path):
    class Unlabelled(Component):
        type: Literal["acme.plain.v1"] = "acme.plain.v1"

        def io(self):
            from ulzoo.interfaces import DataIO

            return DataIO((1, 8, 8))

        def open(self, split): ...

    registry = builtin_registry.with_local("dataset", Unlabelled)
    (line,) = refused(SPEC.replace("{type: ulzoo.digits.v1, size: 8}", "{type: acme.plain.v1}"), registry)
    assert line.endswith("base_model.conditioners.0: the data has no labels to condition on")


def test_a_latent_coarser_than_the_decoders_grid_by_an_odd_factor(builtin_registry):
    """Every network can take a latent that divides its grid or is divided by it, and says so if it cannot."""
    text = SPEC.replace("size: 8}", "size: 12}").replace(
        "latent_channels: 2}", "latent_channels: 2, patch: 6}"
    )
    text = text.replace("    patch: 2\n", "    patch: 4\n")
    (line,) = refused(text, builtin_registry)
    assert line.endswith("decoder.network: (2, 2) and (3, 3) are not multiples of each other")


class LyingConfig(Component):
    """Says another shape than its module gives."""

    type: Literal["acme.lying.v1"] = "acme.lying.v1"

    def latent_shape(self, data_shape):
        return (2, 2, 2)

    def build(self, io, *, key):
        return ResNet(ResNetConfig(channels=(8,), blocks=(1,), latent_channels=2), io, key=key)


def test_a_plugins_encoder_is_run_abstractly_and_compared_with_what_it_says(builtin_registry):
    registry = builtin_registry.with_local("encoder", LyingConfig)
    text = SPEC.replace(
        "{type: ulzoo.resnet.v1, channels: [8], blocks: [1], latent_channels: 2}", "{type: acme.lying.v1}"
    )
    (line,) = refused(text, registry)
    assert line == "tiny.yaml:4:1: encoder: its output has shape (2, 4, 4), but (2, 2, 2) is needed"


class BrokenConfig(Component):
    """Its module is of a library that is not there, or has a mistake."""

    type: Literal["acme.broken.v1"] = "acme.broken.v1"
    imports: bool = True

    def build(self, io, *, key):
        if self.imports:
            import unheard_of_library  # noqa: F401
        raise TypeError("a mistake")


@pytest.mark.parametrize(
    ("imports", "said"),
    [
        (True, "prior.network: cannot be built: ModuleNotFoundError: No module named 'unheard_of_library'"),
        (False, "prior: TypeError: a mistake"),
    ],
)
def test_a_plugin_that_breaks_when_it_is_built_is_named_with_its_line(builtin_registry, imports, said):
    registry = builtin_registry.with_local("network", BrokenConfig)
    start = SPEC.index("  network: {type: ulzoo.vit.v1")
    broken = f"  network: {{type: acme.broken.v1, imports: {str(imports).lower()}}}"
    text = SPEC[:start] + broken + SPEC[SPEC.index("\n", start) :]
    (line,) = refused(text, registry)
    assert re.fullmatch(rf"tiny\.yaml:\d:\d: {re.escape(said)} at {re.escape(__file__)}:\d+", line)


def test_a_module_made_for_another_latent_is_refused(spec):
    """Without a spec the error names the role."""
    other = eqx.filter_eval_shape(
        lambda k: spec.prior.build(PriorIO((3, 4, 4), 5.0), key=k), jax.random.key(0)
    )
    given = {"data": spec.data, "encoder": spec.encoder, "decoder": spec.decoder}
    with pytest.raises(InterfaceError, match=r"^prior: "):
        inspect(assemble(**given, prior=other))
    network = spec.decoder.network.model_copy(update={"patch": 3})
    wrong = spec.decoder.model_copy(update={"network": network})
    with pytest.raises(InterfaceError, match=r"^decoder.network.patch: extents"):
        inspect(assemble(**{**given, "decoder": wrong}, prior=spec.prior))


@pytest.mark.parametrize("patch", [0, -2])
def test_a_patch_that_is_not_positive_is_named(builtin_registry, patch):
    text = SPEC.replace("type: ulzoo.vit.v1,", f"type: ulzoo.vit.v1, patch: {patch},", 1)
    assert text != SPEC
    spec = parse_spec(text, source="s.yaml", registry=builtin_registry)
    with pytest.raises(SpecError, match=r"patch: \[.*\] must be positive"):
        inspect(assemble(spec), spec)


def test_learned_noise_is_refused_where_the_rate_is_not_trained_whole(builtin_registry):
    text = SPEC.replace("{log_snr: 5.0}", "{noise: learned}").replace(
        "type: ulzoo.diffusion_prior.v1\n", "type: ulzoo.diffusion_prior.v1\n  stop_gradient: true\n"
    )
    assert "stop_gradient" in text
    assert "learned" in text
    spec = parse_spec(text, source="s.yaml", registry=builtin_registry)
    with pytest.raises(SpecError, match="prior: learned noise needs a prior that trains the whole rate"):
        inspect(assemble(spec), spec)


def test_a_ready_prior_of_another_noise_level_is_refused(builtin_registry):
    spec = parse_spec(SPEC, source="s.yaml", registry=builtin_registry)
    prior = assemble(spec, log_snr=4.0).makers["prior"](jax.random.key(0))
    with pytest.raises(SpecError, match="it ends at log-SNR 4, but the latent's is 5: they are one number"):
        inspect(assemble(spec, prior=prior), spec)
