"""What the YAML route can do, Python can: the README's lines, with an encoder of one's own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_run import SPEC

import ulzoo
from ulzoo import generate, keys_for, rates, reconstruct, stage1, stage2, train
from ulzoo.components.samplers.ddim import DDIMConfig
from ulzoo.data.digits import DigitsConfig
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractEncoder, SamplerIO


class Halver(AbstractEncoder):
    """(1, 8, 8) → (2, 4, 4): a linear map of each 2×2 patch."""

    weight: jax.Array

    def __call__(self, x, *, key=None):
        patches = x.reshape(4, 2, 4, 2).transpose(1, 3, 0, 2).reshape(4, 4, 4)
        return jnp.einsum("ck,khw->chw", self.weight, patches)


@pytest.fixture(scope="module")
def spec():
    return ulzoo.parse_spec(SPEC)


@pytest.fixture(scope="module")
def trained(spec):
    """Stage 1 and stage 2 in a few lines; what each step measured."""
    encoder = Halver(jnp.eye(2, 4))
    assembly = ulzoo.assemble(spec, encoder=encoder)
    sampler = DDIMConfig(steps=2).build(SamplerIO(), key=None)
    measured = []

    def note(step, state, metrics):
        measured.append({name: float(value) for name, value in metrics.items()})

    program = stage1(assembly, spec.stage1)
    with ulzoo.batches(spec.data, batch_size=8, seed=0) as batches:
        state = train(program, program.init(jax.random.key(0)), batches, steps=6, hooks=[(1, note)])
    autoencoder = program.modules(state)

    second = stage2(assembly, spec.stage2, autoencoder)
    with ulzoo.batches(spec.data, batch_size=8, seed=0) as batches:
        latent_state = train(second, second.init(jax.random.key(1)), batches, steps=6, hooks=[(1, note)])
    base = second.modules(latent_state)
    return autoencoder, base, assembly, sampler, measured


def test_losses_and_steps(trained):
    _, _, _, _, measured = trained
    assert len(measured) == 12
    assert set(measured[0]) >= {"loss", "bits_per_pixel", "distortion", "rate_weight", "gradient_norm"}
    assert all(np.isfinite(value) for metrics in measured for value in metrics.values())
    # The rate's weight rises over ten steps.
    weights = [metrics["rate_weight"] for metrics in measured[:6]]
    np.testing.assert_allclose(weights, np.arange(1, 7) / 10, rtol=1e-6)  # float32


def test_the_encoder_given_is_the_one_trained(trained):
    autoencoder, _, assembly, _, _ = trained
    assert isinstance(autoencoder.encoder, Halver)
    assert assembly.latent_shape == (2, 4, 4)
    moved = np.abs(np.asarray(autoencoder.encoder.weight) - np.eye(2, 4))
    # Six steps of Adam with 1e-3, averaged; every weight moved and none far.
    assert (moved > 0).all()
    assert (moved < 6e-3).all()


def test_rates_and_reconstructions(trained):
    autoencoder, _, _, sampler, _ = trained
    source = DigitsConfig(size=8).open("heldout")
    images = np.stack([source[i]["image"] for i in range(4)])
    keys = keys_for(0, np.arange(4))
    nats, log_snr, diffusion, maps = rates(autoencoder, images, keys, 2)
    assert nats.shape == log_snr.shape == diffusion.shape == (4, 2)
    assert maps.shape == (4, 4, 4)
    # The same sums in another order: float32.
    np.testing.assert_allclose(maps.sum((1, 2)), nats.mean(1), rtol=1e-5)
    result = reconstruct(autoencoder, images, keys, sampler)
    assert result.shape == images.shape
    assert result.dtype == np.uint8


def test_samples(trained, spec):
    autoencoder, base, assembly, sampler, _ = trained
    conditions = {"label": jnp.arange(4)}
    shape = assembly.latent_shape
    images = generate(autoencoder, base, conditions, shape, sampler, sampler, keys_for(0, np.arange(4)))
    assert images.shape == (4, 8, 8, 1)
    again = generate(autoencoder, base, conditions, shape, sampler, sampler, keys_for(0, np.arange(4)))
    assert (np.asarray(images) == np.asarray(again)).all()
    other = generate(autoencoder, base, conditions, shape, sampler, sampler, keys_for(1, np.arange(4)))
    assert not (np.asarray(images) == np.asarray(other)).all()


def test_roles_without_a_spec():
    spec = ulzoo.parse_spec(SPEC)
    given = {role: getattr(spec, role) for role in ("data", "encoder", "prior", "decoder", "base_model")}
    assembly, from_spec = ulzoo.assemble(**given), ulzoo.assemble(spec)
    shapes = [
        jax.tree.map(
            lambda leaf: leaf.shape, eqx.filter(a.abstract("encoder"), lambda leaf: hasattr(leaf, "shape"))
        )
        for a in (assembly, from_spec)
    ]
    assert jax.tree.structure(shapes[0]) == jax.tree.structure(shapes[1])
    assert assembly.log_snr == from_spec.log_snr == 5.0
    del given["prior"]
    with pytest.raises(InterfaceError, match="prior: this role is missing: give a configuration or a module"):
        ulzoo.assemble(**given)


def test_public_names_load_and_are_listed():
    for name in ulzoo.__all__:
        assert getattr(ulzoo, name) is not None
        assert name in dir(ulzoo)
    with pytest.raises(AttributeError, match="module 'ulzoo' has no attribute 'nothing'"):
        _ = ulzoo.nothing
