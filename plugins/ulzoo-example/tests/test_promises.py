"""What every component of its kind promises. The distribution must be installed."""

import equinox as eqx
import jax
import pytest
from ulzoo_example.mixer.config import MixerConfig

from ulzoo.interfaces import Condition, EncoderIO, NetworkIO
from ulzoo.testing import check_component


@pytest.mark.parametrize("name", ["example.haar.v1", "example.mixer.v1", "example.shapes.v1"])
def test_it_keeps_its_promises(name):
    check_component(name)


def test_the_encoder_takes_clips():
    check_component("example.haar.v1", io=EncoderIO((1, 4, 8, 8)))


def test_the_network_takes_clips():
    io = NetworkIO((2, 4, 8, 8))
    build = lambda key: MixerConfig(width=8, depth=1, patch=2).build(io, key=key)  # noqa: E731
    network = eqx.filter_eval_shape(build, jax.random.key(0))
    z, log_snr = (jax.ShapeDtypeStruct(shape, "float32") for shape in (io.shape, ()))
    output = eqx.filter_eval_shape(
        lambda network, *inputs: network(*inputs), network, z, log_snr, Condition()
    )
    assert output.shape == io.shape
