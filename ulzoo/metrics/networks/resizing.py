"""Resizing images for a network, each way as those who made its numbers known do it.

How images are resized moves a Fréchet distance by more than most models differ (Parmar et al. 2104.11222), so
the way is a choice that is written down.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def bilinear(
    images: Float[Array, "b h w c"], height: int, width: int, *, half_pixel: bool
) -> Float[Array, "b height width c"]:
    """Linear between the two nearest places of each axis, without antialiasing.

    Args:
        half_pixel: whether pixel centres lie at halves (PyTorch, `align_corners=False`); False: place i of
            the result is place i·in/out of the image, as TensorFlow 1 had it, which shifts images by up to
            half a pixel.
    """
    for axis, out in ((1, height), (2, width)):
        low, high, share = _places(images.shape[axis], out, half_pixel)
        weight = share.reshape([-1 if k == axis else 1 for k in range(images.ndim)])
        first, second = jnp.take(images, low, axis), jnp.take(images, high, axis)
        images = first + (second - first) * weight
    return images


def _places(size: int, out: int, half_pixel: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower and upper neighbour of each place of the result, and how far it is from the lower one."""
    scale = np.float32(size / out)
    places = np.arange(out, dtype=np.float32)
    if half_pixel:
        places = np.maximum((places + np.float32(0.5)) * scale - np.float32(0.5), 0)
    else:
        places = places * scale
    low = np.minimum(places.astype(np.int32), size - 1)
    return low, np.minimum(low + 1, size - 1), (places - low).astype(np.float32)


def clean_bicubic(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Antialiased bicubic of Pillow, each channel in float32, kept to [0, 255]: "clean" (2104.11222).

    uint8 (b, h, w, c) → float32 (b, height, width, c).
    """
    from PIL import Image

    out = np.empty((len(images), height, width, images.shape[-1]), np.float32)
    for row, image in enumerate(images):
        for channel in range(images.shape[-1]):
            plane = Image.fromarray(image[..., channel].astype(np.float32))
            out[row, ..., channel] = np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC))
    return out.clip(0, 255)


def pillow_bicubic(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Antialiased bicubic of Pillow, on bytes: uint8 (b, h, w, 3) → uint8 (b, height, width, 3)."""
    from PIL import Image

    out = np.empty((len(images), height, width, 3), np.uint8)
    for row, image in enumerate(images):
        whole = Image.fromarray(np.ascontiguousarray(image))
        out[row] = np.asarray(whole.resize((width, height), Image.Resampling.BICUBIC))
    return out


def as_rgb(images: np.ndarray) -> np.ndarray:
    """(b, h, w, 1 or 3) → (b, h, w, 3): grey as three equal channels."""
    return np.repeat(images, 3, -1) if images.shape[-1] == 1 else images
