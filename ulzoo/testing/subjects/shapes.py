"""Shapes that the subjects are built for, and words for them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

DATA = (3, 16, 16)
LATENT = (4, 4, 4)
DATA_CLIP = (3, 8, 16, 16)
LATENT_CLIP = (4, 2, 4, 4)
LOG_SNR = 5.0
CLASSES = 10

# What a module computes in: bfloat16 stands for "the dtype of its parameters" in what is promised.
COMPUTE = jnp.bfloat16


def array(*shape: int, dtype: Any = jnp.float32) -> Any:
    """Stands for an array wherever one is expected."""
    return jax.ShapeDtypeStruct(shape, dtype)


def scalar() -> Any:
    return array()


LABEL = jax.ShapeDtypeStruct((), jnp.int32)
