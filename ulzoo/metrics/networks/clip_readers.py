"""Networks with their weights, given clips as metrics have them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ulzoo.metrics.collecting import Reader
from ulzoo.metrics.networks import i3d
from ulzoo.metrics.networks.resizing import as_rgb, bilinear
from ulzoo.metrics.networks.running import Runner
from ulzoo.metrics.streams import ImageBatch
from ulzoo.weights.reading import WeightsFile, taken


def i3d_reader(path: str, resize: str, batch_size: int) -> Reader:
    """`logits` (n, 400) and `pool` (n, 1024) of the clips of a batch."""
    file = WeightsFile.open(path)
    module = taken(file, i3d.i3d_of(file.entries), spare=i3d.SPARE)
    runner = Runner(_PREPARE[resize], _features, module, batch_size)

    def read(batch: ImageBatch) -> dict[str, np.ndarray]:
        return runner(as_rgb(batch.images))

    return read


def i3d_input(clips: Any, half_pixel: bool) -> Any:
    """(b, t, h, w, 3), 0 to 255 → (b, 3, t, 224, 224), −1 to 1."""
    b, t = clips.shape[:2]
    frames = clips.reshape(b * t, *clips.shape[2:]).astype(jnp.float32)
    frames = bilinear(frames, i3d.SIZE, i3d.SIZE, half_pixel=half_pixel)
    return jnp.moveaxis(2 * frames.reshape(b, t, *frames.shape[1:]) / 255 - 1, -1, 1)


def _features(module: Any, clips: Any) -> Mapping[str, Any]:
    return jax.vmap(module)(clips)


# Made once: a program is compiled once for each function.
_PREPARE = {
    "tensorflow": partial(i3d_input, half_pixel=False),
    "pytorch": partial(i3d_input, half_pixel=True),
}
