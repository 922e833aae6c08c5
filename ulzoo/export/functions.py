"""Encode, decode and sample as StableHLO: programs that need JAX to run, neither ulzoo nor its components.

A folder with `encode.stablehlo`, `decode.stablehlo`, `sample.stablehlo` (of `jax.export`, to be read with
`jax.export.deserialize`) and `manifest.json`, which says what each takes and gives. Any batch size, and any
of the platforms that the manifest names.

    encode(images)                uint8 (b, *space, c)              → z_clean, float32 (b, k, *latent)
    decode(z_clean, seed, index)  int32 (), int32 (b,)              → images; adds the noise of z_0 first
    sample(seed, index, label)    label int32 (b,), where the base model is told it → images

The noise of an example depends on seed and index alone, as in `ulzoo sample` and `ulzoo reconstruct`: the
i-th sample of `ulzoo sample --seed s` has seed s and index i.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import export

from ulzoo.errors import RunError
from ulzoo.export.weights import Weights, require_extra
from ulzoo.interfaces import SamplerIO
from ulzoo.leaf_table import named_leaves
from ulzoo.parallel.precision import cast
from ulzoo.programs.generate import generate
from ulzoo.programs.measure import keys_for
from ulzoo.programs.program import to_images, to_model
from ulzoo.programs.state import is_array
from ulzoo.spec import spec_hash

PLATFORMS = ("cpu", "cuda", "tpu")


@dataclass(frozen=True)
class Function:
    """A function to export: `call(weights, *arguments)`, the shapes of its arguments for a batch of `b`."""

    name: str
    call: Callable[..., Any]
    arguments: dict[str, tuple[tuple[Any, ...], Any]]
    weights: dict[str, jax.Array]


def export_functions(
    folder: str | Path,
    weights: Weights,
    *,
    platforms: Sequence[str] = PLATFORMS,
    separate: bool = False,
) -> dict[str, Any]:
    """Write the functions into an empty folder; the manifest, also returned, says what was written.

    Args:
        separate: the weights are the functions' first argument, a flat mapping such as a safetensors file of
            theirs, and not in the programs.

    Raises:
        RunError: flatbuffers is not installed, or the folder cannot be written.
    """
    require_extra("flatbuffers")
    folder = Path(folder)
    manifest: dict[str, Any] = {
        "format": "ulzoo-functions-1",
        "spec_hash": spec_hash(weights.spec),
        "jax": jax.__version__,
        "weights": "separate" if separate else "inside",
        "samplers": weights.spec.sample.model_dump(
            mode="json", include={"sampler", "decoder_sampler", "guidance"}
        ),
        "functions": {},
    }
    for function in functions_of(weights):
        exported, symbolic = _exported(function, platforms, separate)
        file = f"{function.name}.stablehlo"
        try:
            (folder / file).write_bytes(exported.serialize())
        except OSError as error:
            raise RunError(f"{folder / file}: cannot be written: {error.strerror or error}") from error
        manifest["functions"][function.name] = {
            "file": file,
            "platforms": list(exported.platforms),
            "batch": "any" if symbolic else 1,
            "arguments": {
                name: {"shape": ["b" if axis is None else axis for axis in shape], "dtype": dtype.__name__}
                for name, (shape, dtype) in function.arguments.items()
            },
            "result": [f"{aval.str_short()}" for aval in exported.out_avals],
        }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


def functions_of(weights: Weights) -> list[Function]:
    """The functions that these weights have: `sample` only with a base model."""
    spec = weights.spec
    dtype = jnp.dtype(spec.formats.compute)
    sampler = spec.sample.sampler.build(SamplerIO(), key=None)
    decoder_sampler = spec.sample.decoder_sampler.build(SamplerIO(), key=None)
    guidance = spec.sample.guidance
    autoencoder = weights.autoencoder
    io = spec.data.io()  # type: ignore[attr-defined]
    arrays, static = eqx.partition(autoencoder, is_array)
    latent_shape = tuple(
        eqx.filter_eval_shape(
            lambda m, x: m.encode(x), autoencoder, jax.ShapeDtypeStruct(io.shape, jnp.float32)
        ).shape
    )
    image = (None, *io.shape[1:], io.shape[0])
    named = named_leaves(arrays)

    def whole(tree: Any, static: Any, values: dict[str, jax.Array], prefix: str = "") -> Any:
        leaves = [values[f"{prefix}{name}"] for name in named_leaves(tree)]
        modules = eqx.combine(jax.tree.unflatten(jax.tree.structure(tree), leaves), static)
        return cast(modules, dtype)

    def encode(values: dict[str, jax.Array], images: jax.Array) -> jax.Array:
        return jax.vmap(whole(arrays, static, values).encode)(to_model(images))

    def decode(values: dict[str, jax.Array], z: jax.Array, seed: Any, index: jax.Array) -> jax.Array:
        model = whole(arrays, static, values)

        def one(z: jax.Array, key: jax.Array) -> jax.Array:
            _, k_noise, k_decode = jax.random.split(key, 3)  # as in Autoencoder.reconstruct
            return model.decode(model.add_noise(z, key=k_noise), decoder_sampler, key=k_decode)

        return to_images(jax.vmap(one)(z, keys_for(seed, index)))

    numbers: dict[str, tuple[tuple[Any, ...], Any]] = {"seed": ((), jnp.int32), "index": ((None,), jnp.int32)}
    functions = [
        Function("encode", encode, {"images": (image, jnp.uint8)}, named),
        Function("decode", decode, {"z_clean": ((None, *latent_shape), jnp.float32), **numbers}, named),
    ]
    if weights.base is None:
        return functions
    base_arrays, base_static = eqx.partition(weights.base, is_array)
    base_names = {f"base_model.{name}": leaf for name, leaf in named_leaves(base_arrays).items()}

    def sample(values: dict[str, jax.Array], seed: Any, index: jax.Array, *label: jax.Array) -> jax.Array:
        return generate(
            whole(arrays, static, values),
            whole(base_arrays, base_static, values, "base_model."),
            {"label": label[0]} if label else {},
            latent_shape,
            sampler,
            decoder_sampler,
            keys_for(seed, index),
            guidance.scale,
            guidance.log_snr_interval,
        )

    if io.num_classes is not None:
        numbers = {**numbers, "label": ((None,), jnp.int32)}
    return [*functions, Function("sample", sample, numbers, named | base_names)]


def _exported(function: Function, platforms: Sequence[str], separate: bool) -> tuple[export.Exported, bool]:
    """For any batch size, else for one example, where a component cannot be traced without knowing."""
    try:
        (batch,) = export.symbolic_shape("b")
        return _export_at(function, batch, platforms, separate), True
    except Exception:
        # Of many types, from whatever a plugin does with a shape. A fault elsewhere comes again.
        return _export_at(function, 1, platforms, separate), False


def _export_at(function: Function, batch: Any, platforms: Sequence[str], separate: bool) -> export.Exported:
    shapes = [
        jax.ShapeDtypeStruct(tuple(batch if axis is None else axis for axis in shape), dtype)
        for shape, dtype in function.arguments.values()
    ]
    if separate:
        like = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in function.weights.items()}
        return export.export(jax.jit(function.call), platforms=platforms)(like, *shapes)

    def baked(*arguments: jax.Array) -> Any:
        return function.call(function.weights, *arguments)

    return export.export(jax.jit(baked), platforms=platforms)(*shapes)
