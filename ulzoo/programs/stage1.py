"""Stage 1: encoder, prior and decoder trained together on one loss (Heek et al. 2026, Algorithm 1)."""

from __future__ import annotations

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray

from ulzoo.assemble import Assembly
from ulzoo.autoencoder import Autoencoder
from ulzoo.diffusion.times import stratified_times
from ulzoo.interfaces import AbstractSteeredWeighting, OptimizerIO
from ulzoo.parallel.layout import Layout
from ulzoo.parallel.mesh import make_mesh
from ulzoo.programs.program import (
    Batch,
    Metrics,
    Program,
    Steer,
    flat,
    make_program,
    per_example,
    raw_conditions,
    to_model,
    with_example,
)
from ulzoo.spec import Parallel, Precision, Stage1

UNITS = {
    "loss": "bits/pixel",
    "bits_per_pixel": "bits/pixel",
    "still_bits_per_pixel": "bits/pixel",
    "distortion": "bits/pixel",
    "squared_error": "1",
    "rate_weight": "1",
    "loss_factor": "1",
    "bias": "1",
    "rate_error": "1",
    "gradient_norm": "bits/pixel",
    "skipped_steps": "1",
}
"""Units of the program's metrics."""


def stage1(
    assembly: Assembly,
    settings: Stage1,
    *,
    mesh: Mesh | None = None,
    precision: Precision | Literal["float32", "bfloat16"] = "float32",
    optimizer: optax.GradientTransformation | None = None,
    parallel: Parallel | None = None,
) -> Program:
    """The program of stage 1; its modules are an `Autoencoder`.

    The loss is L_z + L_x, each summed over dimensions, divided by one constant (pixels · ln 2), so that it
    reads in bits per pixel. Images beside clips (`DataIO.stills`) are clips of one frame: their sums are
    added to their clip's, and their pixels to its pixels. While the rate's weight warms up, the loss is not
    yet the paper's.

    Args:
        optimizer: replaces the one of the settings.
        parallel: where parameters live on the mesh; by default by `Parallel()`'s rules.

    Raises:
        InterfaceError: if the mesh does not divide the batch, or the layout does not fit the parameters.
    """
    mesh = make_mesh() if mesh is None else mesh
    if optimizer is None:
        optimizer = settings.optimizer.build(OptimizerIO(settings.steps), key=None)
    scale, frames = 1.0 / (math.prod(assembly.data.shape[1:]) * math.log(2.0)), assembly.data.shape[1]
    warmup = settings.rate_warmup_steps

    def draw(batch: Batch, key: PRNGKeyArray) -> tuple[Any, ...]:
        k_stills = jax.random.fold_in(key, 1)
        clips = _drawn(batch["image"], raw_conditions(batch), key)
        return clips, per_example(batch, lambda images, raw: _drawn(images, raw, k_stills))

    def loss(
        model: Autoencoder, examples: tuple[Any, ...], step: Array, key: PRNGKeyArray, inference: bool
    ) -> tuple[Array, Metrics]:
        def measured(images: Array, raw: Any, t_latent: Array, t_data: Array, keys: Array) -> Metrics:
            """Of each example, in nats."""
            x = to_model(images)
            raw = with_example(raw, x, assembly.data.shape)
            rate, distortion = jax.vmap(
                lambda x, raw, t, s, k: model.losses(x, t, s, key=k, inference=inference, raw=raw)
            )(x, raw, t_latent, t_data, keys)
            return {
                "rate": jax.vmap(lambda terms: terms.nats)(rate),
                "penalty": rate.penalty,
                "distortion": distortion.loss,
                "squared_error": distortion.squared_error,
            }

        clips, stills = examples
        mean = {name: value.mean() for name, value in measured(*clips).items()}
        unit = scale
        extra: Metrics = {}
        if stills is not None:
            # Images beside a clip are part of its example: sums of nats, over the pixels of all of them.
            per_clip = stills[0].shape[1]
            found = measured(*jax.tree.map(flat, stills))
            mean = {name: value + per_clip * found[name].mean() for name, value in mean.items()}
            unit = scale * frames / (frames + per_clip)
            extra["still_bits_per_pixel"] = found["rate"].mean() * scale * frames
        rate_weight = jnp.minimum(1.0, (step + 1) / warmup) if warmup and not inference else jnp.ones(())
        total = rate_weight * (mean["rate"] + mean["penalty"]) + mean["distortion"]
        metrics = {
            "bits_per_pixel": mean["rate"] * unit,
            "distortion": mean["distortion"] * unit,
            "squared_error": mean["squared_error"],
            "rate_weight": rate_weight,
            **extra,
        }
        return total * unit, metrics

    return make_program(
        "stage1",
        assembly.autoencoder,
        loss,
        optimizer,
        data=assembly.data,
        batch_size=settings.batch_size,
        ema=settings.ema,
        mesh=mesh,
        precision=precision if isinstance(precision, Precision) else Precision(compute=precision),
        skip_nonfinite=settings.nonfinite == "skip",
        draw=draw,
        accumulate=settings.accumulate,
        layout=Layout(mesh, parallel or Parallel()),
        steer=_steer(scale, settings.steps),
    )


def _drawn(images: Array, raw: Any, key: PRNGKeyArray) -> tuple[Any, ...]:
    """Examples with times and keys of their own."""
    n = images.shape[0]
    k_latent, k_data, k_examples = jax.random.split(key, 3)
    # Times of rate and distortion are paired at random: both rise along the batch otherwise.
    t_latent = stratified_times(k_latent, n)
    t_data = jax.random.permutation(jax.random.fold_in(k_data, 1), stratified_times(k_data, n))
    return images, raw, t_latent, t_data, jax.random.split(k_examples, n)


def _steer(scale: float, steps: int) -> Steer:
    """Moves the weightings that are steered, and them alone; `scale`: bits per pixel of a nat."""

    def steer(knobs: Any, metrics: Metrics, step: Array) -> tuple[Any, Metrics]:
        readings: Metrics = {}

        def moved(node: Any) -> Any:
            if not _is_steered(node):
                return node
            nats = metrics["bits_per_pixel"] / scale
            after = node.steered(nats, metrics["rate_weight"], step, steps)
            readings.update(after.readings())
            return after

        return jax.tree.map(moved, knobs, is_leaf=_is_steered), readings

    return steer


def _is_steered(node: Any) -> bool:
    return isinstance(node, AbstractSteeredWeighting)
