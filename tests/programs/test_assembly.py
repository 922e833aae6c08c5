"""YAML, configurations in Python and modules made by hand give the same parameters and losses, bit by bit."""

import equinox as eqx
import jax
import numpy as np
import pytest
from tiny import assert_same, images

from ulzoo.assemble import assemble
from ulzoo.components.base_models.diffusion_base import DiffusionBaseConfig
from ulzoo.components.conditioners.class_label import ClassLabelConfig
from ulzoo.components.decoders.diffusion_decoder import DiffusionDecoderConfig
from ulzoo.components.encoders.resnet import ResNetConfig
from ulzoo.components.networks.vit import ViTConfig
from ulzoo.components.optimizers.adam import AdamConfig
from ulzoo.components.priors.diffusion_prior import DiffusionPriorConfig
from ulzoo.components.schedules.cosine import CosineConfig
from ulzoo.components.schedules.linear import LinearConfig
from ulzoo.components.weightings.sigmoid import SigmoidConfig
from ulzoo.data.digits import DigitsConfig
from ulzoo.errors import InterfaceError, SpecError
from ulzoo.interfaces import BaseIO, DataIO, DecoderIO, EncoderIO, PriorIO
from ulzoo.parallel.mesh import put_batch
from ulzoo.programs.stage1 import stage1
from ulzoo.programs.stage2 import stage2
from ulzoo.spec import Stage1, Stage2

VIT = {"width": 8, "depth": 1, "heads": 2, "embedding_width": 8}
# What the text of tiny.SPEC says.
ROLES = {
    "encoder": ResNetConfig(channels=(8,), blocks=(1,), latent_channels=2),
    "prior": DiffusionPriorConfig(network=ViTConfig(**VIT), schedule=LinearConfig()),
    "decoder": DiffusionDecoderConfig(
        network=ViTConfig(**VIT, patch=2, dropout=0.1),
        weighting=SigmoidConfig(loss_factor=1.5, bias=4.0),
        schedule=CosineConfig(),
    ),
    "base_model": DiffusionBaseConfig(
        conditioners=(ClassLabelConfig(width=4),),
        network=ViTConfig(**VIT),
        weighting=SigmoidConfig(loss_factor=1.0, bias=0.0),
        schedule=CosineConfig(),
    ),
}
ADAM = AdamConfig(learning_rate=0.01)
STAGE1 = Stage1(steps=20, batch_size=4, ema=0.2, rate_warmup_steps=4, optimizer=ADAM)
STAGE2 = Stage2(steps=20, batch_size=4, optimizer=ADAM)


def from_configurations():
    return assemble(data=DigitsConfig(size=8), **ROLES)


def by_hand():
    """Modules built one by one, with the keys that the program's own key becomes."""
    first, _ = jax.random.split(jax.random.key(0))
    second, _ = jax.random.split(jax.random.key(1))
    keys = [*jax.random.split(first, 3), second]
    shape, latent = (1, 8, 8), (2, 4, 4)
    ios = [EncoderIO(shape), PriorIO(latent, 5.0), DecoderIO(shape, latent, 5.0), BaseIO(latent, 5.0, 10)]
    # Compiled, as the program's own initialisation is: XLA contracts products that Python rounds one by one.
    modules = {
        role: eqx.filter_jit(lambda key, config=config, io=io: config.build(io, key=key))(key)
        for (role, config), io, key in zip(ROLES.items(), ios, keys, strict=True)
    }
    return assemble(data=DataIO(shape, 10), **modules)


def trained(program, key, mesh):
    """The first state, the state after two steps, and the losses on the way."""
    first = program.init(key)
    state, losses = jax.tree.map(lambda leaf: leaf.copy(), first), []
    for seed in range(2):
        state, metrics = program.step(state, put_batch(images(seed), mesh))
        losses.append({name: float(value) for name, value in metrics.items()})
    return first, state, losses


@pytest.mark.parametrize("route", [from_configurations, by_hand])
def test_every_route_gives_the_same_bits(route, first_stage, second_stage, mesh):
    assembly = route()
    program = stage1(assembly, STAGE1, mesh=mesh)
    here = trained(program, jax.random.key(0), mesh)
    there = trained(first_stage.program, jax.random.key(0), mesh)
    assert here[2] == there[2]
    for one, other in zip(here[:2], there[:2], strict=True):
        assert_same(one, other)
    # second_stage was made from the first state's encoder.
    program = stage2(assembly, STAGE2, program.modules(here[0]), mesh=mesh)
    here = trained(program, jax.random.key(1), mesh)
    there = trained(second_stage.program, jax.random.key(1), mesh)
    assert here[2] == there[2]
    for one, other in zip(here[:2], there[:2], strict=True):
        assert_same(one, other)


def test_a_role_given_by_itself_replaces_the_specs(spec):
    smaller = ResNetConfig(channels=(8,), blocks=(1,), latent_channels=3, patch=4)
    assembly = assemble(spec, encoder=smaller, log_snr=4.0, noise="learned")
    assert assembly.latent_shape == (3, 2, 2)
    assert (assembly.log_snr, assembly.noise) == (4.0, "learned")
    # The one minimum noise reaches everyone who ends at it.
    autoencoder = assembly.abstract("prior"), assembly.abstract("base_model")
    assert {module.schedule.log_snr_max for module in autoencoder} == {4.0}
    # Twice the latent's channels: a mean and a log-variance.
    assert assembly.abstract("encoder").out.weight.shape == (6, 8)


def test_missing_roles_are_named():
    with pytest.raises(
        InterfaceError, match=r"^prior: this role is missing: give a configuration or a module"
    ):
        assemble(data=DataIO((1, 8, 8)), encoder=ROLES["encoder"])
    without = assemble(data=DataIO((1, 8, 8)), **{k: v for k, v in ROLES.items() if k != "base_model"})
    with pytest.raises(InterfaceError, match=r"^base_model: this role is missing"):
        without.base_model(jax.random.key(0))


def test_an_encoder_that_does_not_divide_the_data(spec):
    wrong = ResNetConfig(channels=(8,), blocks=(1,), latent_channels=2, patch=3)
    with pytest.raises(
        InterfaceError, match=r"^encoder.patch: extents \(8, 8\) are not multiples of \(3, 3\)"
    ):
        assemble(data=DataIO((1, 8, 8)), **{**ROLES, "encoder": wrong})
    with pytest.raises(SpecError, match=r"encoder.patch: extents"):
        assemble(spec, encoder=wrong)


def test_the_latents_shape_is_found_out_where_it_is_not_said():
    class Silent(ResNetConfig):
        latent_shape = property()  # no such method

    module = ROLES["encoder"].build(EncoderIO((1, 8, 8)), key=jax.random.key(0))
    silent = Silent(channels=(8,), blocks=(1,), latent_channels=2)
    for encoder in (module, silent):
        assert assemble(data=DataIO((1, 8, 8)), **{**ROLES, "encoder": encoder}).latent_shape == (2, 4, 4)
    np.testing.assert_equal(ROLES["encoder"].latent_shape((1, 8, 8)), (2, 4, 4))
