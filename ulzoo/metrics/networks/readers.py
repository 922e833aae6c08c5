"""Networks with their weights, given images as metrics have them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ulzoo.metrics.collecting import Reader
from ulzoo.metrics.networks import inception as inception_v3
from ulzoo.metrics.networks.resizing import as_rgb, bilinear, clean_bicubic
from ulzoo.metrics.networks.running import PRECISION, Runner
from ulzoo.metrics.streams import ImageBatch
from ulzoo.weights.known import known_name
from ulzoo.weights.reading import WeightsFile, taken


def described(path: str) -> dict[str, Any]:
    """What a protocol says of a file of weights: its hash, and its name if it is a known one."""
    file = WeightsFile.open(path)
    return {"sha256": file.sha256, "known_as": known_name(file.sha256), "dtype": PRECISION}


def inception_reader(path: str, resize: str, batch_size: int) -> Reader:
    """`pool` (n, 2048) and `logits` (n, 1008) of the images of a batch."""
    module = taken(WeightsFile.open(path), inception_v3.inception, spare=inception_v3.SPARE)
    runner = Runner(_PREPARE[resize], _inception, module, batch_size)

    def read(batch: ImageBatch) -> dict[str, np.ndarray]:
        images = as_rgb(batch.images)
        if resize == "clean":
            size = inception_v3.SIZE
            images = clean_bicubic(images, size, size)
        return runner(images)

    return read


def channels_first(images: Any) -> Any:
    """(b, h, w, c) → (b, c, h, w)."""
    return jnp.moveaxis(images, -1, 1)


def inception_input(images: Any, resize: str) -> Any:
    """(b, h, w, 3), 0 to 255 → (b, 3, 299, 299), −1 to 1, each way as the implementation it is called by."""
    size = inception_v3.SIZE
    images = images.astype(jnp.float32)
    if resize == "pytorch":
        return channels_first(2 * bilinear(images / 255, size, size, half_pixel=True) - 1)
    if resize == "tensorflow":
        images = bilinear(images, size, size, half_pixel=False)
    return channels_first((images - 128) / 128)


def pool_length(module: Any) -> int:
    """How many features Inception gives of an image; nothing is computed."""
    size = inception_v3.SIZE
    found = jax.eval_shape(module, jax.ShapeDtypeStruct((3, size, size), jnp.float32))
    return int(found["pool"].shape[-1])


def _inception(module: Any, images: Any) -> Mapping[str, Any]:
    found = jax.vmap(module)(images)
    return {name: found[name] for name in ("pool", "logits")}


# Made once: a program is compiled once for each function.
_PREPARE = {resize: partial(inception_input, resize=resize) for resize in ("tensorflow", "pytorch", "clean")}
