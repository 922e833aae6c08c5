"""Stage 2: the encoder is frozen, and its clean latents are the targets."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import drawn_state, images, to_host

from ulzoo.assemble import assemble
from ulzoo.autoencoder import Autoencoder
from ulzoo.components.base_models.diffusion_base import DiffusionBase
from ulzoo.components.encoders.identity import Identity
from ulzoo.components.schedules.linear import Linear
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractDenoiser, AbstractEncoder, AbstractWeighting
from ulzoo.parallel.mesh import put_batch
from ulzoo.programs.stage2 import autoencoder_encoder, stage2


def test_the_encoder_is_frozen_and_all_that_is_kept(first_stage, second_stage, mesh):
    autoencoder = first_stage.program.modules(first_stage.state())
    kept = autoencoder_encoder(autoencoder)
    assert (kept.prior, kept.decoder) == (None, None)
    before = to_host(kept.encoder)
    state, _ = second_stage.program.step(second_stage.state(), put_batch(images(0), mesh))
    jax.tree.map(np.testing.assert_array_equal, to_host(kept.encoder), before)
    trained = {leaf.shape for leaf in jax.tree.leaves(state.params)}
    assert autoencoder.encoder.patch_in.weight.shape not in trained


class Zero(AbstractDenoiser):
    scale: jax.Array

    def __call__(self, z_t, log_snr, condition, *, key=None):
        return self.scale * z_t


class AtLevel(AbstractWeighting):
    """Undoes ½ (−λ') e^λ, so that the loss is the plain squared error."""

    def __call__(self, log_snr):
        return 2 / 15 * jnp.exp(-log_snr)


class Scaled(AbstractEncoder):
    scale: jax.Array

    def __call__(self, x, *, key=None):
        return self.scale * x


def test_targets_are_the_clean_latents_per_dimension(assembly, spec, mesh):
    """A network that says zero errs by the mean square of z_clean; not of z_0, which has noise on it."""
    base = DiffusionBase(
        network=Zero(jnp.zeros(())),
        conditioners=(),
        schedule=Linear(5.0, -10.0),
        weighting=AtLevel(),
        prediction="x",
    )
    by_hand = assemble(
        data=assembly.data,
        encoder=Scaled(jnp.asarray(3.0)),
        prior=Identity(),
        decoder=Identity(),
        base_model=base,
    )
    autoencoder = Autoencoder(Scaled(jnp.asarray(3.0)), None, None, 5.0)
    program = stage2(by_hand, spec.stage2, autoencoder, mesh=mesh, optimizer=optax.sgd(0.0))
    batch = images(0)
    _, metrics = program.step(program.init(jax.random.key(0)), put_batch(batch, mesh))
    expected = np.square(3 * (batch["image"].astype(np.float64) / 127.5 - 1)).mean()
    # Float32 sums of 256 squares; noise of σ_0² = 0.0067 on z_0 would show as 0.2 %.
    assert float(metrics["squared_error"]) == pytest.approx(expected, rel=1e-5)
    assert float(metrics["loss"]) == pytest.approx(expected, rel=1e-5)


def test_labels_reach_the_base_model(second_stage, mesh):
    batch = images(0)
    state = second_stage.state(
        eqx.tree_at(lambda s: s.ema.network.patch_out.weight, second_stage.first, np.ones((2, 8), np.float32))
    )
    other = {**batch, "label": (batch["label"] + 1) % 10}
    # Where layers start at zero the label would be hidden.
    state = drawn_state(second_stage.program)
    one, two = (
        second_stage.program.evaluate(state, put_batch(b, mesh), jax.random.key(0)) for b in (batch, other)
    )
    assert one["loss"] != two["loss"]


def test_it_lowers_from_shapes_alone(assembly, spec, mesh):
    """Neither stage needs an array to be lowered."""
    shapes = eqx.filter_eval_shape(assembly.autoencoder, jax.random.key(0))
    before = sum(array.nbytes for array in jax.live_arrays())
    program = stage2(assembly, spec.stage2, shapes, mesh=mesh)
    assert "stablehlo" in program.lower().as_text()
    assert sum(array.nbytes for array in jax.live_arrays()) - before < 1000


def test_a_spec_without_base_model_has_no_stage_2(assembly, spec, mesh, first_stage):
    autoencoder = first_stage.program.modules(first_stage.state())
    makers = {role: make for role, make in assembly.makers.items() if role != "base_model"}
    with pytest.raises(InterfaceError, match=r"^base_model: this role is missing"):
        stage2(dataclasses.replace(assembly, makers=makers), spec.stage2, autoencoder, mesh=mesh)
