"""LPIPS, DINOv2 and CLIP with their weights, given images as metrics have them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ulzoo.errors import DataError
from ulzoo.metrics.collecting import Reader
from ulzoo.metrics.networks import clip as clip_network
from ulzoo.metrics.networks import dinov2 as dinov2_network
from ulzoo.metrics.networks import lpips as lpips_network
from ulzoo.metrics.networks.readers import channels_first
from ulzoo.metrics.networks.resizing import as_rgb, bilinear, clean_bicubic, pillow_bicubic
from ulzoo.metrics.networks.running import Runner
from ulzoo.metrics.networks.tokens import tokens_of
from ulzoo.metrics.streams import ImageBatch
from ulzoo.weights.reading import WeightsFile, taken


def lpips_module(network: str, backbone: str, heads: str, *, values: bool = True, only: str = "both") -> Any:
    """The network of both files.

    Args:
        values: False checks names and sizes alone.
        only: "backbone" or "heads": whose mistakes are to be found; the other file's are found as well where
            it is needed.

    Raises:
        DataError: a file does not hold its part.
    """
    made = taken(
        WeightsFile.open(backbone),
        lambda take: lpips_network.backbone(take, network),
        values=values,
        spare=lpips_network.SPARE,
    )
    if only == "backbone":
        return made
    widths = lpips_network.widths_of(made)
    return lpips_network.LPIPS(
        made, taken(WeightsFile.open(heads), lambda take: lpips_network.heads(take, widths), values=values)
    )


def lpips_reader(network: str, backbone: str, heads: str, resize: int | None, batch_size: int) -> Reader:
    """`lpips` (n,) of the images of a batch and their originals."""
    module = lpips_module(network, backbone, heads)
    prepare = partial(_pairs, resize=resize)
    runner = Runner(prepare, _lpips, module, batch_size)

    def read(batch: ImageBatch) -> dict[str, np.ndarray]:
        if batch.originals is None:
            raise ValueError("a distance of pairs needs a stream of reconstructions")
        return runner(as_rgb(batch.originals), as_rgb(batch.images))

    return read


def _pairs(*images: Any, resize: int | None) -> tuple[Any, ...]:
    found = []
    for part in images:
        part = part.astype(jnp.float32)
        if resize is not None:
            part = bilinear(part, resize, resize, half_pixel=True)
        found.append(channels_first(part / 127.5 - 1))
    return tuple(found)


def _lpips(module: Any, pair: Any) -> Mapping[str, Any]:
    return {"lpips": jax.vmap(module)(*pair)}


def dinov2_module(path: str, side: int, offset: float, *, values: bool = True) -> Any:
    """The network for images of `side` pixels. Raises DataError for a file that does not hold one."""
    file = WeightsFile.open(path)
    layout, depth = dinov2_network.layout_of(file.entries)
    name = "patch_embed.proj" if layout == "dinov2" else "embeddings.patch_embeddings.projection"
    entry = file.entries.get(f"{name}.weight")
    patch = entry.shape[-1] if entry is not None and len(entry.shape) == 4 else 14
    if side % patch:
        raise DataError(f"{file.path}: patches of {patch} pixels do not divide {side}")

    def build(take: Any) -> Any:
        return dinov2_network.dinov2(take, depth=depth, layout=layout, grid=side // patch, offset=offset)

    return taken(file, build, values=values, spare=dinov2_network.SPARE)


def dinov2_reader(path: str, resize: str, side: int, offset: float, batch_size: int) -> Reader:
    """`pool` (n, width), the class token's features, of the images of a batch."""
    runner = Runner(_imagenet, _dinov2, dinov2_module(path, side, offset), batch_size)

    def read(batch: ImageBatch) -> dict[str, np.ndarray]:
        images = as_rgb(batch.images)
        if resize == "clean":
            return runner(clean_bicubic(images, side, side))
        return runner(pillow_bicubic(images, side, side))

    return read


_IMAGENET = (np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32))


def _imagenet(images: Any) -> Any:
    mean, deviation = _IMAGENET
    return channels_first((images.astype(jnp.float32) / 255 - mean) / deviation)


def _dinov2(module: Any, images: Any) -> Mapping[str, Any]:
    return {"pool": jax.vmap(module)(images)}


def clip_module(path: str, *, values: bool = True) -> Any:
    """Both towers. Raises DataError for a file that does not hold them."""
    file = WeightsFile.open(path)
    image, text = clip_network.depths(file.entries)

    def build(take: Any) -> Any:
        return clip_network.clip(take, image_depth=image, text_depth=text)

    return taken(file, build, values=values, spare=clip_network.SPARE)


def clip_reader(path: str, tokenizer: str, prompts: tuple[str, ...], batch_size: int) -> Reader:
    """`clip` (n,) of the images of a batch: 100 times the cosine to the prompt of each one's label."""
    module = clip_module(path)
    texts = text_embeddings(module.text, tokenizer, prompts)
    side = module.image.side
    runner = Runner(_clip_input, _clip_image, module.image, batch_size)

    def read(batch: ImageBatch) -> dict[str, np.ndarray]:
        images = as_rgb(batch.images)
        height, width = images.shape[1:3]
        short = min(height, width)
        # Whole pixels below, as the models' own preparation has it; then the square in the middle.
        whole = pillow_bicubic(images, int(side * height / short), int(side * width / short))
        top, left = (whole.shape[1] - side) // 2, (whole.shape[2] - side) // 2
        found = runner(whole[:, top : top + side, left : left + side])["embedding"]
        chosen = np.zeros(len(found), int) if batch.labels is None else batch.labels
        return {"clip": 100 * (found * texts[chosen]).sum(1)}

    return read


def text_embeddings(tower: Any, tokenizer: str, prompts: tuple[str, ...]) -> np.ndarray:
    """(prompts, d) embeddings of length one."""
    ids, last = tokens_of(tokenizer, prompts, len(tower.positions))
    runner = Runner(_both, _clip_text, tower, min(len(prompts), 64))
    return runner(ids, last)["embedding"]


def _both(ids: Any, last: Any) -> Any:
    return ids, last


def _clip_text(module: Any, arrays: Any) -> Mapping[str, Any]:
    return {"embedding": jax.vmap(module)(*arrays)}


_CLIP = (
    np.array([0.48145466, 0.4578275, 0.40821073], np.float32),
    np.array([0.26862954, 0.26130258, 0.27577711], np.float32),
)


def _clip_input(images: Any) -> Any:
    mean, deviation = _CLIP
    return channels_first((images.astype(jnp.float32) / 255 - mean) / deviation)


def _clip_image(module: Any, images: Any) -> Mapping[str, Any]:
    return {"embedding": jax.vmap(module)(images)}
