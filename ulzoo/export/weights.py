"""Weights alone as one safetensors file: names are parameter paths, and the file says which spec they are of.

    encoder.layers.0.weight, prior.…, decoder.…      stage 1
    base_model.…                                     stage 2, where it is trained

All are averaged (EMA) weights in float32, with the weightings' numbers (`decoder.weighting.bias`) among them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ulzoo.assemble import Assembly, assemble
from ulzoo.autoencoder import Autoencoder
from ulzoo.errors import CheckpointError, RunError, UlzooError
from ulzoo.interfaces import AbstractBase
from ulzoo.leaf_table import indented, leaf_table, named_leaves, table_differences
from ulzoo.programs.state import is_array
from ulzoo.provenance import trained_components
from ulzoo.registry import Registry
from ulzoo.spec import Spec, dump_yaml, parse_spec, spec_hash

FORMAT = "ulzoo-weights-1"


@dataclass(frozen=True)
class Weights:
    """What a file of weights holds.

    Attributes:
        base: None where stage 2 was not exported.
        steps: stage → optimiser steps that it was trained for.
    """

    spec: Spec
    autoencoder: Autoencoder
    base: AbstractBase | None
    steps: dict[str, int]


def require_extra(module: str) -> None:
    """Raises RunError, which names the extra, if an optional package is not installed."""
    if find_spec(module) is None:
        raise RunError(f"this needs {module}, which is not installed: pip install 'ulzoo[export]'")


def save_weights(path: str | Path, weights: Weights) -> None:
    """Write a safetensors file; it has its name only once all of it is on disk.

    Raises:
        RunError: safetensors is not installed, or the file is there or cannot be written.
    """
    require_extra("safetensors")
    from safetensors.numpy import save_file

    path = Path(path)
    if path.exists():
        raise RunError(f"{path}: is there already")
    metadata = {
        "format": FORMAT,
        "ulzoo": version("ulzoo"),
        "weights": "ema",
        "spec": dump_yaml(weights.spec),
        "spec_hash": spec_hash(weights.spec),
        "components": json.dumps(trained_components(weights.spec)),
        "steps": json.dumps(weights.steps),
    }
    arrays = {name: np.asarray(leaf) for name, leaf in _leaves(weights.autoencoder, weights.base).items()}
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(arrays, str(partial), metadata)
        os.replace(partial, path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def load_weights(path: str | Path, registry: Registry | None = None) -> Weights:
    """Modules and spec from a file that `save_weights` wrote.

    Raises:
        CheckpointError: not such a file, or damaged; or its spec has another hash, or its arrays other names,
            shapes or dtypes than the components that are installed would have.
        SpecError: a component of its spec is not installed.
        RunError: safetensors is not installed.
    """
    require_extra("safetensors")
    metadata, arrays = _read(Path(path))
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: not weights that ulzoo exported: its format is {metadata.get('format')}"
        )
    try:
        spec = parse_spec(metadata["spec"], registry=registry or Registry.discover())
        steps = {str(stage): int(step) for stage, step in json.loads(metadata["steps"]).items()}
        told = metadata["spec_hash"]
        steps["stage1"]  # there is no file without it
    except UlzooError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: damaged: its metadata cannot be read: {error}") from error
    if spec_hash(spec) != told:
        raise CheckpointError(
            f"{path}: the spec in it has hash {spec_hash(spec)[:12]}, but the weights are of {told[:12]}"
        )
    autoencoder, base = _fill(assemble(spec), "stage2" in steps, arrays, str(path))
    return Weights(spec, autoencoder, base, steps)


def _read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors: {error}") from error


def _fill(
    assembly: Assembly, has_base: bool, arrays: Mapping[str, np.ndarray], path: str
) -> tuple[Autoencoder, AbstractBase | None]:
    """The assembly's modules with these arrays in them, no more and no fewer."""
    autoencoder = eqx.filter_eval_shape(assembly.autoencoder, jax.random.key(0))
    base = assembly.abstract("base_model") if has_base else None
    expected = _leaves(autoencoder, base)
    differences = table_differences(leaf_table(arrays), leaf_table(expected))
    if differences:
        raise CheckpointError(f"{path}: these weights are of another model:{indented(differences)}")
    filled = []
    for prefix, modules in (("", autoencoder), ("base_model.", base)):
        shapes, static = eqx.partition(modules, is_array)
        values = [jnp.asarray(arrays[f"{prefix}{name}"]) for name in named_leaves(shapes)]
        filled.append(eqx.combine(jax.tree.unflatten(jax.tree.structure(shapes), values), static))
    return filled[0], filled[1]


def _leaves(autoencoder: Autoencoder, base: Any) -> dict[str, Any]:
    leaves = named_leaves(eqx.filter(autoencoder, is_array))
    if base is not None:
        leaves |= {
            f"base_model.{name}": leaf for name, leaf in named_leaves(eqx.filter(base, is_array)).items()
        }
    return leaves
