"""The class-to-video spec: it fits together as it is, and smaller it trains and samples."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import drawn_state

from ulzoo.data.pipeline import batches
from ulzoo.experiment import Experiment, check_fit
from ulzoo.interfaces import SamplerIO
from ulzoo.programs.generate import generate
from ulzoo.spec import load_spec

SPEC = Path(__file__).parents[2] / "specs" / "class-to-video.yaml"
FRAMES = 5
SMALLER = {
    "data.clips.size": 16,
    "data.clips.frames": FRAMES,
    "data.clips.digit_size": 8,
    "data.images.size": 16,
    "data.images.digit_size": 8,
    "encoder.channels": [8, 8],
    "prior.network.width": 16,
    "prior.network.embedding_width": 16,
    "decoder.network.channels": [8],
    "decoder.network.width": 16,
    "decoder.network.embedding_width": 16,
    "base_model.network.width": 16,
    "base_model.network.depth": 2,
    "base_model.network.embedding_width": 16,
    "stage1.batch_size": 4,
    "stage2.batch_size": 4,
    "sample.sampler": {"type": "ulzoo.ddim.v1", "steps": 2},
    "sample.decoder_sampler": {"type": "ulzoo.ddim.v1", "steps": 2},
}


def test_it_fits_together_as_it_is(builtin_registry):
    assembly, reports = check_fit(load_spec(SPEC, registry=builtin_registry))
    assert assembly.data.shape == (1, 17, 32, 32)
    assert assembly.latent_shape == (12, 5, 4, 4)
    assert [report.role for report in reports] == ["encoder", "prior", "decoder", "base_model"]
    assert all(report.parameters > 1e4 and report.flops > 1e6 for report in reports)


@pytest.mark.slow
def test_smaller_it_trains_and_samples_its_classes(builtin_registry):
    spec = load_spec(SPEC, SMALLER, registry=builtin_registry)
    experiment = Experiment.of(spec)
    first = experiment.program(1)
    with batches(spec.data, batch_size=4, seed=0, threads=0) as stream:
        drawn = [{k: v for k, v in next(stream).items() if k != "index"} for _ in range(3)]
    state = drawn_state(first)
    for batch in drawn:
        state, metrics = first.step(state, batch)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    autoencoder = first.modules(state)
    second = experiment.program(2, autoencoder)
    state = drawn_state(second)
    for batch in drawn:
        state, metrics = second.step(state, batch)
    assert all(np.isfinite(float(value)) for value in metrics.values())
    samplers = spec.sample.sampler, spec.sample.decoder_sampler
    keys = jax.random.split(jax.random.key(0), 1)[jnp.zeros(3, int)]
    clips = generate(
        autoencoder,
        second.modules(state),
        {"label": jnp.asarray([0, 0, 7])},
        experiment.assembly.latent_shape,
        *(config.build(SamplerIO(), key=None) for config in samplers),
        keys,
        spec.sample.guidance.scale,
    )
    assert clips.shape == (3, FRAMES, 16, 16, 1)
    # Equal noise: equal classes give equal clips, another class another one.
    np.testing.assert_array_equal(clips[0], clips[1])
    assert (np.asarray(clips[0]) != clips[2]).any()
