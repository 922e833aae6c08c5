"""Latents of clips on disk, with the frames that a base model is given."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest

from ulzoo.assemble import assemble
from ulzoo.autoencoder import Autoencoder
from ulzoo.clips import write_clip
from ulzoo.data.latents import LatentCache
from ulzoo.data.moving_digits.source import MovingDigitsSource
from ulzoo.data.pipeline import batches
from ulzoo.encoding import encode, frames_given, records_at, stage2_data
from ulzoo.errors import DataError
from ulzoo.parallel.mesh import make_mesh, put_batch
from ulzoo.programs.stage2 import stage2
from ulzoo.spec import parse_spec
from ulzoo.train import train
from ulzoo.validation import Validation

DATA = "{type: ulzoo.moving_digits.v1, size: 12, digit_size: 8, frames: 6}"
SPEC = f"""\
ulzoo: 1
name: clips
data: {DATA}
encoder: {{type: ulzoo.resnet.v1, patch: [2, 4, 4], channels: [8], blocks: [0], latent_channels: 2}}
prior: {{type: ulzoo.normal_prior.v1}}
decoder:
  type: ulzoo.mse_decoder.v1
  network: {{type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, patch: [2, 4, 4]}}
base_model:
  type: ulzoo.diffusion_base.v1
  network: {{type: ulzoo.vit.v1, width: 8, depth: 1, heads: 1, embedding_width: 8}}
  conditioners:
    - {{type: ulzoo.class_label.v1, width: 8}}
    - {{type: ulzoo.given_frames.v1, given: [[2, 0], [1, 1]], width: 8, dropout: 0.3}}
stage1: {{steps: 4, batch_size: 8}}
stage2: {{steps: 4, batch_size: 8, latents: latents}}
"""


@pytest.fixture(scope="module")
def made():
    """A spec and its encoder; prior and decoder have no part in this."""
    spec = parse_spec(SPEC)
    assembly = assemble(spec)
    encoder = assembly.makers["encoder"](jax.random.key(0))
    return spec, assembly, Autoencoder(encoder, None, None, assembly.log_snr, assembly.noise)


def encoded(spec, autoencoder, out, **options):
    fields = {"split": "train", "shards": 2, "mesh": make_mesh(), **options}
    encode(spec, autoencoder, spec.data.open("train"), out, **fields)
    return LatentCache(out)


def test_frames_of_any_pair_are_kept():
    assert frames_given(parse_spec(SPEC)) == (0, 1, 5)
    assert frames_given(parse_spec(SPEC.replace("[[2, 0], [1, 1]]", "[[3, 0]]"))) == (0, 1, 2)


def test_a_step_on_latents_is_a_step_on_clips(made, tmp_path, monkeypatch):
    # Without new motions at each visit: then the encoder's own output is what a cache holds.
    draw = MovingDigitsSource.draw
    still = lambda self, i, rng: draw(self, i, np.random.default_rng([0, i]))  # noqa: E731
    monkeypatch.setattr(MovingDigitsSource, "draw", still)
    monkeypatch.setattr(MovingDigitsSource, "__len__", lambda self: 40)
    monkeypatch.setattr(MovingDigitsSource, "augmentation", lambda self: "none")
    spec, assembly, autoencoder = made
    cache = encoded(spec, autoencoder, tmp_path / "out")
    assert stage2_data(spec, str(tmp_path / "out"), autoencoder).manifest["clip"] == [6, 12, 12, 1]
    program = stage2(assembly, spec.stage2, autoencoder)
    losses = {}
    for name, data in (("clips", spec.data), ("latents", cache)):
        state, losses[name] = program.init(jax.random.key(2)), []
        with batches(data, batch_size=8, seed=3, threads=0) as stream:
            for _ in range(3):
                batch = next(stream)
                assert set(batch) - {"image", "latent"} == {"index", "label"} | (
                    {"frames"} if name == "latents" else set()
                )
                state, metrics = program.step(state, put_batch(batch, program.mesh))
                losses[name].append([float(metrics[k]) for k in ("loss", "squared_error", "gradient_norm")])
    # The encoder is one program here and a part of the step there: sums of float32 in another order.
    np.testing.assert_allclose(losses["latents"], losses["clips"], rtol=1e-5)
    assert set(program.abstract_batch) == {"latent", "label", "frames"}
    # Clips will do for it too: in a loop of one's own, and where held-out ones validate.
    with batches(spec.data, batch_size=8, seed=3, threads=0) as stream:
        state = train(program, program.init(jax.random.key(2)), stream, steps=1)
    validation = Validation(program, spec.data, batch_size=8, count=1, seed=0)
    assert np.isfinite(list(validation(state).values())).all()
    other = parse_spec(SPEC.replace("[[2, 0], [1, 1]]", "[[3, 0]]"))
    with pytest.raises(DataError, match="frames"):
        stage2_data(other, str(tmp_path / "out"), autoencoder)


def test_draws_have_the_frames_that_they_were_made_from(made, tmp_path, monkeypatch):
    monkeypatch.setattr(MovingDigitsSource, "__len__", lambda self: 12)
    spec, _, autoencoder = made
    with pytest.raises(DataError, match="give --draws N"):
        encoded(spec, autoencoder, tmp_path / "plain")
    cache = encoded(spec, autoencoder, tmp_path / "out", draws=2)
    clips, latents = spec.data.open("train"), cache.open("train")
    for index in (0, 7):
        first = clips.draw(index, np.random.default_rng([0, index, 0]))["image"]
        frames = latents[index]["frames"]
        np.testing.assert_array_equal(frames[[0, 1, 5]], first[[0, 1, 5]])
        assert first[2:5].any()
        assert not frames[2:5].any()
    seen = {latents.draw(3, np.random.default_rng(s))["frames"].tobytes() for s in range(20)}
    assert len(seen) == 2
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["made_from"]["frames"] == [0, 1, 5]


def test_places_with_videos_are_read_as_clips(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("a/0", "b/1"):
        # Frames that differ: equal ones in a row are stored as one.
        levels = np.arange(6, dtype=np.uint8)[:, None, None, None]
        write_clip(tmp_path / f"{name}.gif", np.broadcast_to(levels, (6, 8, 8, 1)))
    place = f"{{type: ulzoo.video_folder.v1, root: {tmp_path}}}"
    data = f"{{type: ulzoo.video_folder.v1, root: {tmp_path}, size: 8, frames: 4}}"
    spec = parse_spec(SPEC.replace(DATA, data))
    assert records_at(place, spec.data)[0]["image"].shape == (4, 8, 8, 3)
    pictures = parse_spec(
        SPEC.replace(DATA, data.replace("video_folder", "image_folder").replace(", frames: 4", ""))
    )
    with pytest.raises(DataError, match=r"holds videos \(.mp4.* other records than the run's data"):
        records_at(place, pictures.data)
