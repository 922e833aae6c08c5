"""One experiment, small enough to compile in seconds, and what the tests of programs do with it."""

from __future__ import annotations

import contextlib

import jax
import jax.monitoring
import numpy as np
import optax

from ulzoo.programs.state import TrainState

SIDE, CHANNELS, BATCH = 8, 1, 4

SPEC = """\
ulzoo: 1
data: {type: ulzoo.digits.v1, size: 8}
latent: {log_snr: 5.0}
encoder: {type: ulzoo.resnet.v1, channels: [8], blocks: [1], latent_channels: 2}
prior:
  type: ulzoo.diffusion_prior.v1
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 2, embedding_width: 8}
decoder:
  type: ulzoo.diffusion_decoder.v1
  network:
    type: ulzoo.vit.v1
    width: 8
    depth: 1
    heads: 2
    patch: 2
    embedding_width: 8
    dropout: 0.1
  weighting: {type: ulzoo.sigmoid.v1, loss_factor: 1.5, bias: 4.0}
base_model:
  type: ulzoo.diffusion_base.v1
  conditioners: [{type: ulzoo.class_label.v1, width: 4}]
  network: {type: ulzoo.vit.v1, width: 8, depth: 1, heads: 2, embedding_width: 8}
  weighting: {type: ulzoo.sigmoid.v1, loss_factor: 1.0, bias: 0.0}
stage1:
  steps: 20
  batch_size: 4
  ema: 0.2
  rate_warmup_steps: 4
  optimizer: {type: ulzoo.adam.v1, learning_rate: 0.01}
stage2: {steps: 20, batch_size: 4, optimizer: {type: ulzoo.adam.v1, learning_rate: 0.01}}
"""


def images(
    seed: int, count: int = BATCH, shape: tuple[int, ...] = (SIDE, SIDE, CHANNELS)
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (count, *shape), np.uint8)
    return {"image": image, "label": rng.integers(0, 10, count).astype(np.int32)}


def to_host(state):
    """The state as NumPy, keys as their data."""

    def of(leaf):
        return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)

    return jax.tree.map(of, state)


def to_device(host, abstract_state):
    """Back onto the devices, as a checkpoint is restored; new buffers, since a step donates them."""

    def of(leaf, like):
        if is_key(like):
            return jax.device_put(jax.random.wrap_key_data(leaf), like.sharding)
        return jax.device_put(leaf.copy(), like.sharding)

    return jax.tree.map(of, host, abstract_state)


def drawn_state(program, seed: int = 0):
    """A state whose parameters are all drawn by NumPy: an initialisation compiles for as long as a step does.

    Nothing is zero, so gradients reach everything at once. Knobs are 1, moments 0.
    """
    rng = np.random.default_rng(seed)
    like = program.abstract_state
    params = jax.tree.map(
        lambda leaf: (0.2 * rng.standard_normal(leaf.shape)).astype(leaf.dtype), like.params
    )
    state = TrainState(
        step=np.zeros((), np.int32),
        key=np.array([0, seed], np.uint32),
        params=params,
        ema=params,
        opt_state=jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like.opt_state),
        knobs=jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), like.knobs),
    )
    return to_device(state, like)


def is_key(leaf) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def counted(optimizer: optax.GradientTransformation) -> tuple[optax.GradientTransformation, list[int]]:
    """The optimiser, and a list that grows by one with every trace of its update."""
    traces: list[int] = []

    def update(*args, **kwargs):
        traces.append(1)
        return optimizer.update(*args, **kwargs)

    return optax.GradientTransformation(optimizer.init, update), traces


@contextlib.contextmanager
def compilations():
    """A list that grows by one with every program that XLA compiles meanwhile."""
    seen: list[str] = []

    def listen(event: str, duration: float, **kwargs) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def assert_same(one, other) -> None:
    """Equal to the bit, leaf by leaf."""
    a, b = jax.tree_util.tree_leaves_with_path(to_host(one)), jax.tree.leaves(to_host(other))
    assert len(a) == len(b)
    for (path, left), right in zip(a, b, strict=True):
        np.testing.assert_array_equal(left, right, err_msg=jax.tree_util.keystr(path))
