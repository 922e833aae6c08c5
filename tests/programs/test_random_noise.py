"""Noise of random level: what of a spec fits together, and what is refused."""

import re

import jax
import pytest
from tiny import SPEC

from ulzoo.assemble import assemble
from ulzoo.errors import InterfaceError, SpecError
from ulzoo.experiment import check_fit
from ulzoo.interfaces import AbstractDecoder
from ulzoo.spec import parse_spec, spec_hash

RANDOM = "latent={log_snr: 5, noise: random, level: {location: 2, scale: 0.5}}"
STEERED = "{type: ulzoo.steered_sigmoid.v1, bias: 4, rate_target: {bits_per_pixel: 1}}"
TOLD = "decoder.conditioners=[{type: ulzoo.latent_level.v1}]"


def parse(registry, *overrides):
    return parse_spec(SPEC, registry=registry, overrides=overrides)


def test_the_spec_reaches_the_modules_and_counts_for_the_weights(builtin_registry):
    spec = parse(builtin_registry, RANDOM, TOLD)
    check_fit(spec)
    assembly = assemble(spec)
    assert assembly.level == (2.0, 0.5, 5.0)
    assert assembly.noise == "random"
    # From Python it is replaced, like every other part of a spec.
    assert assemble(spec, level=(1.0, 2.0)).level == (1.0, 2.0, 5.0)
    assert assemble(spec, decoder=parse(builtin_registry).decoder, noise="fixed").level is None
    other = parse(builtin_registry, RANDOM.replace("0.5", "1.0"), TOLD)
    assert spec_hash(spec) != spec_hash(other)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ((RANDOM,), "decoder.conditioners: random noise needs a decoder that is told its level"),
        ((TOLD,), "decoder.conditioners.0: there is no level to tell"),
        (
            (RANDOM, TOLD, "base_model.conditioners=[{type: ulzoo.latent_level.v1}]"),
            "base_model.conditioners.0: there is no level to tell",
        ),
        (
            (RANDOM, TOLD, "prior={type: ulzoo.normal_prior.v1}"),
            "prior: random noise needs a prior with a noise schedule",
        ),
        (
            (RANDOM, TOLD, f"decoder.weighting={STEERED}"),
            "decoder.weighting: a rate target is for latents of one noise level",
        ),
    ],
)
def test_what_does_not_fit_is_refused(builtin_registry, overrides, said):
    with pytest.raises(SpecError, match=re.escape(said)):
        check_fit(parse(builtin_registry, *overrides))


@pytest.mark.parametrize("latent", ["{noise: random}", "{noise: fixed, level: {location: 2}}"])
def test_a_level_belongs_to_random_noise(builtin_registry, latent):
    with pytest.raises(SpecError, match="level belongs to noise: random"):
        parse(builtin_registry, f"latent={latent}")


@pytest.mark.parametrize(("noise", "level"), [("random", None), ("fixed", (2.0, 1.0)), (None, (2.0, 1.0))])
def test_the_same_from_python(builtin_registry, noise, level):
    spec = parse(builtin_registry)
    with pytest.raises(InterfaceError, match="level belongs to random noise"):
        assemble(
            data=spec.data,
            encoder=spec.encoder,
            prior=spec.prior,
            decoder=spec.decoder,
            noise=noise,
            level=level,
        )


def test_a_spec_from_before_keeps_its_hash(builtin_registry):
    without = parse(builtin_registry)
    assert spec_hash(without) == spec_hash(parse(builtin_registry, "latent={log_snr: 5, level: null}"))


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_a_distribution_has_a_width(builtin_registry, scale):
    with pytest.raises(InterfaceError, match="the scale of random noise must be positive"):
        assemble(parse(builtin_registry, RANDOM, TOLD), level=(2.0, scale))


def test_a_decoder_that_cannot_be_told_does_not_say_that_it_is(builtin_registry):
    class Deaf(AbstractDecoder):
        tells_level = True

        def distortion(self, x, z_0, t, *, key, inference=False):
            """Never asked."""

        def decode(self, z_0, sampler, *, key):
            """Never asked."""

    assembly = assemble(parse(builtin_registry, RANDOM, TOLD), decoder=Deaf())
    with pytest.raises(InterfaceError, match="needs a decoder that is told its level"):
        assembly.makers["decoder"](jax.random.key(0))


def test_a_decoder_of_ones_own_may_say_that_it_is_told(builtin_registry):
    spec = parse(builtin_registry, RANDOM, TOLD)
    made = assemble(spec).makers["decoder"](jax.random.key(0))

    class Own(type(made)):
        tells_level = True

    own = object.__new__(Own)
    for name, value in vars(made).items():
        object.__setattr__(own, name, () if name == "conditioners" else value)
    assert assemble(spec, decoder=own).makers["decoder"](jax.random.key(0)) is own
