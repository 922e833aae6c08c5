"""Examples larger than a model was built for: windows, halos, seams, chunks that go on from each other."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ulzoo.autoencoder import Autoencoder
from ulzoo.beyond import Grid, decode_in_windows, encode_in_windows, reconstruct_in_windows
from ulzoo.components.decoders.mse_decoder import ConstantWeighting, MSEDecoder
from ulzoo.components.layers.linear import Conv3
from ulzoo.components.layers.space import average_pool, nearest_up
from ulzoo.errors import RunError
from ulzoo.interfaces import AbstractDenoiser, AbstractEncoder
from ulzoo.windows import kept, seam, spans, windows

GRID = Grid(data=(1, 12, 12, 16), latent=(3, 6, 6, 8))
"""What the models here are built for; a latent is 2×2×2 coarser."""


class LocalNetwork(AbstractDenoiser):
    """A convolution over the latent and one over the data: no place depends on latents more than two away."""

    coarse: Conv3
    fine: Conv3

    def __call__(self, z_t, log_snr, condition, *, key=None):
        return jnp.tanh(self.fine(nearest_up(jax.nn.silu(self.coarse(condition.spatial)), (2, 2, 2))))


class LocalEncoder(AbstractEncoder):
    """A convolution over the data: a latent depends on its two neighbours."""

    conv: Conv3

    def __call__(self, x, *, key=None):
        return average_pool(self.conv(x), (2, 2, 2))


def local_model(shape):
    """Encoder and MSE decoder of the same weights, built for data of any shape."""
    keys = jax.random.split(jax.random.key(0), 3)
    network = LocalNetwork(Conv3.draw(3, 3, 8, key=keys[0]), Conv3.draw(3, 8, 1, key=keys[1]))
    decoder = MSEDecoder(network, ConstantWeighting(jnp.asarray(1.0)), shape)
    encoder = LocalEncoder(Conv3.draw(3, 1, 3, key=keys[2]))
    prior: Any = None
    return Autoencoder(encoder, prior, decoder, log_snr=5.0)


@pytest.fixture(scope="module")
def latent():
    return np.random.default_rng(0).standard_normal((3, 19, 13, 8)).astype(np.float32)


def decoded_whole(latent):
    """One call of a decoder that is built for all of it."""
    shape = (1, *(2 * size for size in latent.shape[1:]))
    x = local_model(shape).decoder.predict(jnp.asarray(latent))
    return np.rint((np.clip(np.moveaxis(np.asarray(x), 0, -1), -1, 1) + 1) * 127.5).astype(np.uint8)


def decoded(latent, overlaps):
    decoder = local_model(GRID.data).decoder
    return decode_in_windows(decoder, latent, GRID, overlaps, None, key=jax.random.key(0))


def test_decoding_in_windows_is_decoding_at_once_where_the_halo_is_enough(latent):
    whole = decoded_whole(latent)
    assert whole.std() > 20
    # Two latents on each side of a cut; float32 sums in another order may round a level the other way.
    assert np.abs(decoded(latent, (4, 4, 4)).astype(int) - whole).max() <= 1
    with_seams = np.abs(decoded(latent, (2, 2, 2)).astype(int) - whole)
    assert with_seams.max() > 1
    cuts = [2 * span.first for span in spans(19, 6, 2)][1:]
    near = sorted({cut + step for cut in cuts for step in (-2, -1, 0, 1)})
    far = np.delete(with_seams, near, axis=0)[:, :6]
    # Away from the cuts in time and in height nothing differs.
    assert far.max() <= 1


def test_encoding_and_all_of_it_in_windows(latent):
    images = np.random.default_rng(1).integers(0, 256, (38, 12, 16, 1), dtype=np.uint8)
    model = local_model(GRID.data)
    x = jnp.moveaxis(jnp.asarray(images, jnp.float32) / 127.5 - 1, -1, 0)
    want = np.asarray(model.encode(x))
    np.testing.assert_allclose(encode_in_windows(model, images, GRID, (2, 2, 2)), want, atol=1e-5)
    made = reconstruct_in_windows(model, images, GRID, (4, 4, 4), None, key=jax.random.key(3))
    k_noise, _ = jax.random.split(jax.random.key(3))
    noise = [jax.random.normal(jax.random.fold_in(k_noise, t), want[:, t].shape) for t in range(19)]
    kept, added = 1 / np.sqrt(1 + np.exp(-5.0)), 1 / np.sqrt(1 + np.exp(5.0))
    at_once = decoded_whole(kept * want + added * np.stack(noise, axis=1))
    assert np.abs(made.astype(int) - at_once).max() <= 1


def test_the_device_sees_one_window_at_a_time(latent):
    shapes = []

    class Noted(LocalNetwork):
        def __call__(self, z_t, log_snr, condition, *, key=None):
            shapes.append(condition.spatial.shape)
            return super().__call__(z_t, log_snr, condition, key=key)

    decoder = local_model(GRID.data).decoder
    network = Noted(decoder.network.coarse, decoder.network.fine)
    decoder = MSEDecoder(network, decoder.weighting, GRID.data)
    for length in (6, 11, 19):
        decode_in_windows(decoder, latent[:, :length], GRID, (2, 2, 2), None, key=jax.random.key(0))
    # Traced once, for the one shape there is, however long the clip.
    assert shapes == [GRID.latent]


@pytest.mark.parametrize("size", [1, 4, 7])
@pytest.mark.parametrize("overlap", [0, 1, 2, 3])
@pytest.mark.parametrize("extent", [7, 8, 10, 23])
def test_windows_cover_everything_once_with_their_halo(extent, size, overlap):
    if overlap >= size:
        with pytest.raises(ValueError, match="overlap"):
            spans(extent, size, overlap)
        return
    found = spans(extent, size, overlap)
    assert [span.first for span in found] == [0, *[span.last for span in found[:-1]]]
    assert found[-1].last == extent
    for span in found:
        assert 0 <= span.start <= span.first < span.last <= span.start + size <= extent
        assert span.first == 0 or span.first - span.start >= overlap // 2
        assert span.last == extent or span.start + size - span.last >= overlap // 2


def test_what_is_kept_is_scaled_by_the_factor():
    (first, second) = windows((5,), (4,), (2,))
    assert kept(first, (3,)) == ((slice(0, 9),), (slice(0, 9),))
    assert kept(second, (3,)) == ((slice(9, 15),), (slice(6, 12),))


def test_what_is_smaller_than_a_window_is_refused(latent):
    with pytest.raises(RunError, match="5 positions are fewer than the 6"):
        decoded(latent[:, :5], (0, 0, 0))


def test_overlaps_are_shares_of_a_window():
    assert GRID.factors == (2, 2, 2)
    assert GRID.overlaps(0.5) == (3, 3, 4)
    assert GRID.overlaps(0.0) == (0, 0, 0)
    assert Grid((1, 4, 8, 8), (2, 1, 4, 4)).overlaps(0.1) == (0, 1, 1)


def test_a_seam_is_a_jump_that_the_original_has_not():
    original = np.full((8, 4, 4, 1), 100, np.uint8)
    made = original.copy()
    # The error changes by one level at each frame, by three at the cut.
    made[:, ..., 0] += np.array([0, 1, 0, 1, 4, 5, 4, 5], np.uint8)[:, None, None]
    assert seam(made, original, [4]) == pytest.approx(3.0)
    assert seam(made, original, []) is None
    assert seam(original, original, [4]) is None


def test_latents_that_are_causal_in_time_are_refused(latent):
    model = local_model((1, 12, 12, 16))
    decoder = MSEDecoder(model.decoder.network, model.decoder.weighting, GRID.data, causal=True)
    with pytest.raises(RunError, match="causal in time are not taken in windows"):
        decode_in_windows(decoder, latent, GRID, (1, 1, 1), None, key=jax.random.key(0))
