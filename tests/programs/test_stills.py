"""Images beside clips: clips of one frame, in the same step of the same program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import assert_same, counted, drawn_state, to_host

from ulzoo.assemble import assemble
from ulzoo.data.pipeline import batches
from ulzoo.errors import InterfaceError, SpecError
from ulzoo.inspection import inspect
from ulzoo.interfaces import OptimizerIO
from ulzoo.programs.stage1 import stage1
from ulzoo.programs.stage2 import stage2
from ulzoo.spec import parse_spec
from ulzoo.testing import check_component

FRAMES, SIDE, PER_CLIP, BATCH = 5, 8, 2, 4

SPEC = """\
ulzoo: 1
data:
  type: ulzoo.with_images.v1
  clips: {type: ulzoo.moving_digits.v1, size: 8, frames: 5, digit_size: 8}
  images: {type: ulzoo.digits.v1, size: 8}
  per_clip: 2
encoder:
  {type: ulzoo.resnet.v1, channels: [8], blocks: [1], latent_channels: 2, patch: [4, 2, 2], causal: true}
prior:
  type: ulzoo.diffusion_prior.v1
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 2, embedding_width: 8}
decoder:
  type: ulzoo.diffusion_decoder.v1
  network:
    {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 2, patch: [4, 2, 2], embedding_width: 8, causal: true}
  weighting: {type: ulzoo.sigmoid.v1, loss_factor: 1.5, bias: 4.0}
  conditioners:
    - {type: ulzoo.class_label.v1, width: 4}
    - {type: ulzoo.given_frames.v1, given: [[1, 0]], width: 4}
base_model:
  type: ulzoo.diffusion_base.v1
  conditioners:
    - {type: ulzoo.class_label.v1, width: 4}
    - {type: ulzoo.given_frames.v1, given: [[3, 0]], width: 4}
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 2, embedding_width: 8}
stage1: {steps: 20, batch_size: 4, optimizer: {type: ulzoo.adam.v1, learning_rate: 0.01}}
stage2: {steps: 20, batch_size: 4, optimizer: {type: ulzoo.adam.v1, learning_rate: 0.01}}
"""


@pytest.fixture(scope="module")
def spec(builtin_registry):
    return parse_spec(SPEC, registry=builtin_registry)


@pytest.fixture(scope="module")
def assembly(spec):
    return assemble(spec)


@pytest.fixture(scope="module")
def first(spec, assembly):
    optimizer, traces = counted(spec.stage1.optimizer.build(OptimizerIO(20), key=None))
    return stage1(assembly, spec.stage1, optimizer=optimizer), traces


@pytest.fixture(scope="module")
def stream(spec):
    with batches(spec.data, batch_size=BATCH, seed=0, threads=0) as stream:
        return [{k: v for k, v in next(stream).items() if k != "index"} for _ in range(2)]


def test_clips_come_with_images(stream, spec):
    batch = stream[0]
    assert {name: (value.dtype, value.shape) for name, value in batch.items()} == {
        "image": (np.uint8, (BATCH, FRAMES, SIDE, SIDE, 1)),
        "label": (np.int32, (BATCH,)),
        "still": (np.uint8, (BATCH, PER_CLIP, 1, SIDE, SIDE, 1)),
        "still_label": (np.int32, (BATCH, PER_CLIP)),
    }
    # The images are digits as their own dataset has them, with their labels.
    digits = spec.data.images.open("train")
    known = {digits[i]["image"].tobytes(): int(digits[i]["label"]) for i in range(len(digits))}
    for image, label in zip(batch["still"].reshape(-1, 64), batch["still_label"].ravel(), strict=True):
        assert known[image.tobytes()] == label
    assert len({image.tobytes() for image in batch["still"].reshape(-1, 64)}) == BATCH * PER_CLIP
    assert set(spec.data.open("heldout")[0]) == {"image", "label", "index"}


def test_one_program_trains_on_both(first, stream):
    program, traces = first
    state, found = drawn_state(program), []
    before = to_host(state.params)
    for batch in stream:
        state, metrics = program.step(state, batch)
        found.append({name: float(value) for name, value in metrics.items()})
    assert len(traces) == 1
    assert all(np.isfinite(list(metrics.values())).all() for metrics in found)
    assert found[0]["still_bits_per_pixel"] > 0
    with pytest.raises(AssertionError):
        assert_same(before, state.params)


def test_sums_are_over_the_pixels_of_clips_and_images(first, stream):
    program, _ = first
    state, key, batch = drawn_state(program), jax.random.key(7), stream[0]
    clips = {name: value for name, value in batch.items() if not name.startswith("still")}
    both, alone = program.evaluate(state, batch, key), program.evaluate(state, clips, key)
    other = dict(batch, still=255 - batch["still"])
    changed = program.evaluate(state, other, key)
    # T frames of the clip and k of the images, each in bits per pixel of its own. Float32 means.
    for metrics in (both, changed):
        expected = (FRAMES * alone["bits_per_pixel"] + PER_CLIP * metrics["still_bits_per_pixel"]) / (
            FRAMES + PER_CLIP
        )
        assert float(metrics["bits_per_pixel"]) == pytest.approx(float(expected), rel=1e-5)
    assert float(both["still_bits_per_pixel"]) != float(changed["still_bits_per_pixel"])
    assert "still_bits_per_pixel" not in alone


def test_an_image_is_what_the_modules_say_of_a_clip_of_one_frame(first, stream):
    """The images' rate, through the modules at many times: no frame that is not there is counted."""
    program, _ = first
    state, batch = drawn_state(program), stream[0]
    model = program.modules(state)
    x = jnp.moveaxis(batch["still"].reshape(-1, 1, SIDE, SIDE, 1).astype(np.float32) / 127.5 - 1, -1, 1)
    rate = jax.jit(
        lambda x, t: jax.vmap(
            lambda x: jax.vmap(lambda t, k: model.rate(x, t, key=k).nats)(
                t, jax.random.split(jax.random.key(3), len(t))
            )
        )(x)
    )
    t = (jnp.arange(512) + 0.5) / 512
    pixels = SIDE * SIDE * np.log(2)
    expected = float(rate(x, t).mean()) / pixels
    found = np.array(
        [float(program.evaluate(state, batch, jax.random.key(i))["still_bits_per_pixel"]) for i in range(40)]
    )
    # 40 estimates at random times agree with 512 times on a grid, within four standard errors.
    assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(len(found))


def test_stage_2_trains_on_both(first, spec, assembly, stream):
    autoencoder = first[0].modules(drawn_state(first[0]))
    program = stage2(assembly, spec.stage2, autoencoder)
    _, metrics = program.step(drawn_state(program), stream[0])
    assert np.isfinite(float(metrics["loss"]))
    with pytest.raises(InterfaceError, match=r"^stage2.latents: latents from disk are of the clips alone"):
        stage2(assembly, spec.stage2.model_copy(update={"latents": "somewhere"}), autoencoder)


def test_every_role_is_held_to_clips_of_one_frame(spec, builtin_registry):
    assert [report.role for report in inspect(assemble(spec), spec)][-1] == "base_model"
    plain = SPEC.replace("frames: 5", "frames: 4").replace(", causal: true", "")
    bad = parse_spec(plain, registry=builtin_registry)
    with pytest.raises(SpecError) as error:
        inspect(assemble(bad), bad)
    assert "it takes no clip of one frame, as images beside clips are (causal: true?)" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "digits.v1, size: 8}",
            "digits.v1, size: 16}",
            "(1, 16, 16) is not (1, 8, 8), one frame",
        ),
        ("digit_size: 8}", "digit_size: 8, digits: 2}", "they have 10 classes, but the clips have None"),
        ("moving_digits.v1, size: 8, frames: 5, digit_size: 8", "digits.v1, size: 8", "is no shape of clips"),
    ],
)
def test_images_that_do_not_fit_are_named(old, new, says, builtin_registry):
    spec = parse_spec(SPEC.replace(old, new), registry=builtin_registry)
    with pytest.raises(SpecError) as error:
        assemble(spec)
    assert says in str(error.value)
    assert "<text>:" in str(error.value)


def test_the_dataset_keeps_what_its_kind_promises(builtin_registry):
    check_component("ulzoo.with_images.v1", registry=builtin_registry)
