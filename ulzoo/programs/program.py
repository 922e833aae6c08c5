"""A program: a state, and a jitted, sharded, donated step on it. The stages differ in their loss alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray

from ulzoo.interfaces import DataIO, Shape
from ulzoo.parallel.activations import MisfitError, constrain
from ulzoo.parallel.layout import Layout
from ulzoo.parallel.mesh import check_batch, over_batch, replicated
from ulzoo.parallel.precision import cast
from ulzoo.programs.state import TrainState, ema_update, is_array, join, split
from ulzoo.spec import Precision

Batch = Mapping[str, Array]
Metrics = dict[str, Array]
Loss = Callable[[Any, Any, Array, PRNGKeyArray, bool], tuple[Array, Metrics]]
"""(modules, examples, step, key, inference) → (scalar to minimise, scalar metrics), means over examples."""

Draw = Callable[[Batch, PRNGKeyArray], Any]
"""(batch, key) → examples: what the loss needs of each, leading axis the batch's; all that is random."""

Steer = Callable[[Any, Metrics, Array], tuple[Any, Metrics]]
"""(knobs, metrics of a step, its number from 0) → (knobs for the next step, further metrics)."""


@dataclass(frozen=True)
class Program:
    """A stage of training as pure functions.

    Attributes:
        name: "stage1" or "stage2".
        mesh: devices that it runs on.
        init: key → state, sharded. Equal keys give equal states.
        step: (state, batch) → (state, metrics); the state given is donated. Metrics are device scalars:
            fetching them is the caller's choice, so a step never waits for the host.
        evaluate: (state, batch, key) → metrics of the EMA modules without dropout.
        modules: (state, ema) → the stage's modules with the state's parameters in them.
        join: (params or ema, knobs) → the same from parts of a state.
        abstract_state: shapes, dtypes and shardings of the state; allocates nothing.
        abstract_batch: the same for a batch.
        abstract_frozen: the same for what the loss needs and does not train.
    """

    name: str
    mesh: Mesh
    init: Callable[[PRNGKeyArray], TrainState]
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    evaluate: Callable[[TrainState, Batch, PRNGKeyArray], Metrics]
    modules: Callable[..., Any]
    join: Callable[[Any, Any], Any]
    abstract_state: TrainState
    abstract_batch: Mapping[str, jax.ShapeDtypeStruct]
    abstract_frozen: Any
    lower: Callable[[], Any]
    """() → the step lowered for this mesh, ready to `compile()`; allocates nothing."""
    trace: Callable[[], Any]
    """() → the step traced on abstract values (`jax.stages.Traced`); an abstract mesh will do for it."""


def make_program(
    name: str,
    make: Callable[[PRNGKeyArray], Any],
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    data: DataIO,
    batch_size: int,
    ema: float,
    mesh: Mesh,
    precision: Precision | None = None,
    frozen: Any = None,
    skip_nonfinite: bool = False,
    draw: Draw | None = None,
    accumulate: int = 1,
    layout: Layout | None = None,
    prefix: str = "",
    steer: Steer | None = None,
    latent: Shape | None = None,
    frames: bool = False,
) -> Program:
    """The machinery that both stages share.

    Args:
        make: key → modules to train.
        loss: see `Loss`; it receives (modules, frozen) as modules if `frozen` is given.
        precision: number formats; by default float32 throughout. Losses, EMA and optimiser always are.
        frozen: modules that the loss needs and that are not trained (stage 2's encoder); with abstract shapes
            in place of its arrays the program can be lowered, not run.
        skip_nonfinite: a step whose loss or gradient is not finite counts, but leaves parameters, EMA,
            optimiser and knobs as they were; a metric `skipped_steps` is then 1, else 0. Decided on the
            device.
        draw: makes the loss's examples of a batch; without it they are the batch, and the loss draws itself.
        accumulate: micro-batches that a batch is taken in, one after the other; their gradients are averaged,
            which gives the whole batch's to rounding. More than one needs `draw`.
        layout: where parameters live; by default every device has all of them.
        prefix: role of the modules, if they are one; else their fields are roles.
        steer: moves the knobs after each step, by what was measured in it; without it they stay.
        latent: shape of the `latent` that batches hold in place of an image.
        frames: whether `frames`, clips of which some frames are there, come beside latents.

    Raises:
        InterfaceError: the layout does not fit the parameters, or the mesh and `accumulate` the batch.
    """
    check_batch(batch_size, mesh, f"{name}.batch_size", accumulate)
    if accumulate > 1 and draw is None:
        raise ValueError("a loss that draws for itself cannot be taken in micro-batches: give draw")
    layout = Layout(mesh) if layout is None else layout
    precision = Precision() if precision is None else precision
    dtype, reduction = jnp.dtype(precision.compute), jnp.dtype(precision.reduction)
    abstract_params, _, static = split(eqx.filter_eval_shape(make, jax.random.key(0)))
    everywhere = replicated(mesh)
    homes = layout.parameters(abstract_params, prefix)
    frozen_arrays, frozen_static = eqx.partition(frozen, is_array)
    frozen_homes = layout.parameters(frozen_arrays)
    if all(eqx.is_array(leaf) for leaf in jax.tree.leaves(frozen_arrays)):
        frozen_arrays = jax.device_put(frozen_arrays, frozen_homes)

    def init(key: PRNGKeyArray) -> TrainState:
        k_params, k_steps = jax.random.split(key)
        params, knobs, _ = split(make(k_params))
        # The EMA starts as a copy: the two must not share buffers, since both are donated.
        copy = jax.tree.map(jnp.copy, params)
        kept = cast(params, jnp.dtype(precision.params))
        return TrainState(jnp.zeros((), jnp.int32), k_steps, kept, copy, optimizer.init(params), knobs)

    def losses(
        params: Any, knobs: Any, frozen_arrays: Any, examples: Any, step: Array, key: Any, inference: bool
    ) -> Any:
        modules = constrain(join(cast(params, dtype), knobs, static), layout, prefix)
        if frozen is not None:
            modules = (modules, constrain(eqx.combine(cast(frozen_arrays, dtype), frozen_static), layout))
        try:
            return loss(modules, examples, step, key, inference)
        except MisfitError as misfit:
            raise misfit.error from misfit

    gradient = jax.value_and_grad(losses, has_aux=True)

    def gradients(state: TrainState, frozen_arrays: Any, examples: Any, key: Any) -> Any:
        """((loss, metrics), gradient), each the mean over micro-batches."""

        def of(examples: Any) -> Any:
            found = gradient(state.params, state.knobs, frozen_arrays, examples, state.step, key, False)
            # As the parameters lie: no device then holds the sum for more than its own.
            return found[0], jax.lax.with_sharding_constraint(cast(found[1], reduction), homes)

        if accumulate == 1:
            return of(examples)
        micro = jax.tree.map(lambda leaf: _dealt(leaf, accumulate), examples)
        shapes = jax.eval_shape(of, jax.tree.map(lambda leaf: leaf[0], micro))
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        total, _ = jax.lax.scan(
            lambda total, examples: (jax.tree.map(jnp.add, total, of(examples)), None), nothing, micro
        )
        return jax.tree.map(lambda leaf: leaf / accumulate, total)

    def step(frozen_arrays: Any, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        examples = batch if draw is None else draw(batch, key)
        (value, metrics), grads = gradients(state, frozen_arrays, examples, key)
        grads = cast(grads, jnp.float32)
        updates, opt_state = optimizer.update(grads, state.opt_state, cast(state.params, jnp.float32))
        params = optax.apply_updates(state.params, updates)
        averaged = ema_update(state.ema, params, ema, state.step)
        metrics = {"loss": value, **metrics, "gradient_norm": optax.tree.norm(grads)}
        knobs = state.knobs
        if steer is not None:
            knobs, readings = steer(knobs, metrics, state.step)
            metrics |= readings
        if skip_nonfinite:
            taken = jnp.isfinite(value) & jnp.isfinite(metrics["gradient_norm"])
            params, averaged, opt_state, knobs = jax.tree.map(
                lambda new, old: jnp.where(taken, new, old),
                (params, averaged, opt_state, knobs),
                (state.params, state.ema, state.opt_state, state.knobs),
            )
            metrics["skipped_steps"] = 1.0 - taken.astype(jnp.float32)
        return TrainState(state.step + 1, state.key, params, averaged, opt_state, knobs), metrics

    def evaluate(frozen_arrays: Any, state: TrainState, batch: Batch, key: PRNGKeyArray) -> Metrics:
        examples = batch if draw is None else draw(batch, key)
        value, metrics = losses(state.ema, state.knobs, frozen_arrays, examples, state.step, key, True)
        return {"loss": value, **metrics}

    shapes = jax.eval_shape(init, jax.random.key(0))
    # Whatever holds parameters, or has their shapes and names, lives where they do: EMA, moments.
    state_homes = layout.follow(shapes, abstract_params, homes)
    # With XLA's usual options, though fewer would compile in half the time: modules that a user makes under
    # `jit` are then these, bit by bit.
    jitted_init = jax.jit(init, out_shardings=state_homes)
    jitted_step = jax.jit(step, donate_argnums=1, out_shardings=(state_homes, everywhere))
    jitted_evaluate = jax.jit(evaluate, out_shardings=everywhere)
    abstract_state = jax.tree.map(_with_sharding, shapes, state_homes)
    abstract_batch = {
        entry: _with_sharding(leaf, over_batch(mesh))
        for entry, leaf in _batch_shapes(data, batch_size, latent, frames).items()
    }

    def modules(state: TrainState, *, ema: bool = True) -> Any:
        return join(state.ema if ema else state.params, state.knobs, static)

    abstract_frozen = jax.tree.map(_with_sharding, frozen_arrays, frozen_homes)

    def trace() -> Any:
        return jitted_step.trace(abstract_frozen, abstract_state, abstract_batch)

    return Program(
        name=name,
        mesh=mesh,
        init=jitted_init,
        step=lambda state, batch: jitted_step(frozen_arrays, state, batch),
        evaluate=lambda state, batch, key: jitted_evaluate(frozen_arrays, state, batch, key),
        modules=modules,
        join=lambda params, knobs: join(params, knobs, static),
        abstract_state=abstract_state,
        abstract_batch=abstract_batch,
        abstract_frozen=abstract_frozen,
        lower=lambda: trace().lower(),
        trace=trace,
    )


def entries_for(program: Program, batch: Mapping[str, object]) -> list[str]:
    """What a program takes of a batch. One that reads latents encodes images where it is given those."""
    names = list(program.abstract_batch)
    if "latent" in names and "latent" not in batch:
        # The frames beside latents are those of the images.
        names = ["image" if name == "latent" else name for name in names if name != "frames"]
    return names


def to_model(images: Array) -> Array:
    """uint8 (b, *space, c) → float32 (b, c, *space) in [−1, 1]; on the device, where it is cheap."""
    return jnp.moveaxis(images.astype(jnp.float32) / 127.5 - 1.0, -1, 1)


def to_images(x: Array) -> Array:
    """float (b, c, *space) in [−1, 1] → uint8 (b, *space, c), clipped and rounded."""
    scaled = jnp.round((jnp.clip(x, -1.0, 1.0) + 1.0) * 127.5)
    return jnp.moveaxis(scaled.astype(jnp.uint8), 1, -1)


_NO_CONDITIONS = ("image", "latent", "index", "mask", "still", "still_label")


def raw_conditions(batch: Batch) -> dict[str, Array]:
    """What conditioners may see of a batch: all but the images and the bookkeeping."""
    return {name: value for name, value in batch.items() if name not in _NO_CONDITIONS}


def with_example(raw: Mapping[str, Array], x: Array, shape: Shape) -> dict[str, Array]:
    """Conditions with the examples `x` (b, *shape) themselves. Not those of images beside clips: a frame that
    was given would be all of it."""
    return {**raw, "x": x} if x.shape[1:] == shape else dict(raw)


def flat(leaf: Array) -> Array:
    """(n, k, …) → (n·k, …)."""
    return leaf.reshape(-1, *leaf.shape[2:])


def per_example(batch: Batch, draw: Callable[[Array, dict[str, Array]], Any]) -> Any:
    """What `draw` makes of all images beside clips, and their conditions, dealt to the clips that they came
    with: leading axes (n, k). None without such images."""
    if "still" not in batch:
        return None
    stills = batch["still"]
    raw = {"label": flat(batch["still_label"])} if "still_label" in batch else {}
    drawn = draw(flat(stills), raw)
    return jax.tree.map(lambda leaf: leaf.reshape(*stills.shape[:2], *leaf.shape[1:]), drawn)


def with_frames(raw: Mapping[str, Array]) -> dict[str, Array]:
    """Conditions, in which `frames` that came beside latents stand for the examples, `x` (b, c, t, h, w)."""
    others = {name: value for name, value in raw.items() if name != "frames"}
    return {**others, "x": to_model(raw["frames"])} if "frames" in raw else others


def _batch_shapes(
    data: DataIO, batch_size: int, latent: Shape | None, frames: bool
) -> dict[str, jax.ShapeDtypeStruct]:
    images = jax.ShapeDtypeStruct((batch_size, *data.shape[1:], data.shape[0]), jnp.uint8)
    if latent is None:
        batch = {"image": images}
    else:
        batch = {"latent": jax.ShapeDtypeStruct((batch_size, *latent), jnp.float32)}
        batch |= {"frames": images} if frames else {}
    if data.num_classes is not None:
        batch["label"] = jax.ShapeDtypeStruct((batch_size,), jnp.int32)
    if data.stills and latent is None:
        frame = (1, *data.shape[2:], data.shape[0])
        batch["still"] = jax.ShapeDtypeStruct((batch_size, data.stills, *frame), jnp.uint8)
        if data.num_classes is not None:
            batch["still_label"] = jax.ShapeDtypeStruct((batch_size, data.stills), jnp.int32)
    return batch


def _with_sharding(leaf: Any, sharding: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _dealt(leaf: Array, count: int) -> Array:
    """(b, …) → (count, b / count, …), dealt in turn, so that every device deals of its own examples."""
    return jnp.moveaxis(leaf.reshape(leaf.shape[0] // count, count, *leaf.shape[1:]), 1, 0)
