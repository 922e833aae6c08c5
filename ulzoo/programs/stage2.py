"""Stage 2: a base model on the frozen encoder's latents (Heek et al. 2026, §3.3)."""

from __future__ import annotations

import math
from typing import Any, Literal

import jax
import optax
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray

from ulzoo.assemble import Assembly
from ulzoo.autoencoder import Autoencoder
from ulzoo.diffusion.times import stratified_times
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractBase, AbstractGridConditioner, LossTerms, OptimizerIO
from ulzoo.parallel.layout import Layout
from ulzoo.parallel.mesh import make_mesh
from ulzoo.programs.program import (
    Batch,
    Metrics,
    Program,
    flat,
    make_program,
    per_example,
    raw_conditions,
    to_model,
    with_example,
    with_frames,
)
from ulzoo.spec import Parallel, Precision, Stage2

UNITS = {
    "loss": "nats/dimension",
    "squared_error": "1/dimension",
    "gradient_norm": "nats/dimension",
    "skipped_steps": "1",
}
"""Units of the program's metrics."""


def stage2(
    assembly: Assembly,
    settings: Stage2,
    autoencoder: Autoencoder,
    *,
    mesh: Mesh | None = None,
    precision: Precision | Literal["float32", "bfloat16"] = "float32",
    optimizer: optax.GradientTransformation | None = None,
    parallel: Parallel | None = None,
) -> Program:
    """The program of stage 2; its module is the base model.

    Args:
        autoencoder: stage 1's EMA modules; only the encoder is used, frozen. Abstract shapes will do for
            `lower`.
        optimizer: replaces the one of the settings.
        parallel: where parameters live on the mesh; by default by `Parallel()`'s rules.

    Raises:
        InterfaceError: if the mesh does not divide the batch, the layout does not fit the parameters, or the
            assembly has no base model.
    """
    mesh = make_mesh() if mesh is None else mesh
    if optimizer is None:
        optimizer = settings.optimizer.build(OptimizerIO(settings.steps), key=None)
    if settings.reads_latents and assembly.data.stills:
        text = "latents from disk are of the clips alone, without the images beside them; encode as you train"
        raise InterfaceError(text, "stage2.latents" if settings.latents else "stage2.encode_once")
    scale = 1.0 / math.prod(assembly.latent_shape)
    moments, (channels, *space) = 2 if assembly.noise == "learned" else 1, assembly.latent_shape

    def draw(batch: Batch, key: PRNGKeyArray) -> tuple[Any, ...]:
        # Latents that were computed before stand in for the images that they are of.
        name = "latent" if "latent" in batch else "image"
        n = batch[name].shape[0]
        k_times, k_latents, k_examples = jax.random.split(key, 3)
        clips = (
            {name: batch[name]},
            raw_conditions(batch),
            stratified_times(k_times, n),
            jax.random.split(k_latents, n),
            jax.random.split(k_examples, n),
        )
        k_stills = jax.random.fold_in(key, 1)
        return clips, per_example(batch, lambda images, raw: draw({"image": images, **raw}, k_stills)[0])

    def loss(
        modules: tuple[AbstractBase, Autoencoder],
        examples: tuple[Any, ...],
        step: Array,
        key: PRNGKeyArray,
        inference: bool,
    ) -> tuple[Array, Metrics]:
        base, frozen = modules

        def terms(given: Any, raw: Any, t: Array, latent_keys: Array, keys: Array) -> LossTerms:
            if "latent" in given:
                z_clean = jax.vmap(frozen.sample_stored)(given["latent"], latent_keys)
                raw = with_frames(raw)
            else:
                x = to_model(given["image"])
                z_clean = jax.vmap(lambda x, k: frozen.sample_clean(x, k, k, inference=True)[0])(
                    x, latent_keys
                )
                raw = with_example(raw, x, assembly.data.shape)
            return jax.vmap(lambda z, raw, t, k: base.loss(z, raw, t, key=k, inference=inference))(
                jax.lax.stop_gradient(z_clean), raw, t, keys
            )

        clips, stills = examples
        of_clips = terms(*clips)
        loss, squared_error, unit = of_clips.loss.mean(), of_clips.squared_error.mean(), scale
        if stills is not None:
            # As in stage 1: part of the example, over the dimensions of all.
            per_clip = stills[2].shape[1]
            of_stills = terms(*jax.tree.map(flat, stills))
            loss += per_clip * of_stills.loss.mean()
            squared_error += per_clip * of_stills.squared_error.mean()
            unit = scale * space[0] / (space[0] + per_clip)
        return loss * unit, {"squared_error": squared_error * unit}

    return make_program(
        "stage2",
        assembly.base_model,
        loss,
        optimizer,
        data=assembly.data,
        batch_size=settings.batch_size,
        ema=settings.ema,
        mesh=mesh,
        precision=precision if isinstance(precision, Precision) else Precision(compute=precision),
        skip_nonfinite=settings.nonfinite == "skip",
        frozen=autoencoder_encoder(autoencoder),
        draw=draw,
        accumulate=settings.accumulate,
        layout=Layout(mesh, parallel or Parallel()),
        prefix="base_model",
        latent=(moments * channels, *space) if settings.reads_latents else None,
        frames=_takes_frames(assembly),
    )


def _takes_frames(assembly: Assembly) -> bool:
    if "base_model" not in assembly.makers:
        return False
    conditioners = getattr(assembly.abstract("base_model"), "conditioners", ())
    return any(isinstance(each, AbstractGridConditioner) for each in conditioners)


def autoencoder_encoder(autoencoder: Autoencoder) -> Autoencoder:
    """The autoencoder with prior and decoder taken out: all that stage 2 keeps in memory."""
    return Autoencoder(autoencoder.encoder, None, None, autoencoder.log_snr, autoencoder.noise)  # type: ignore[arg-type]
