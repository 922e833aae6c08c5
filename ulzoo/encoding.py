"""A split through a frozen encoder, once, to disk: stage 2 reads it instead of encoding at every step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from ulzoo.autoencoder import Autoencoder
from ulzoo.data.ahead import in_order
from ulzoo.data.latents import (
    DRAWS,
    KIND,
    MIRRORED,
    PLAIN,
    LatentCache,
    preprocessing,
    to_bytes,
    views_for,
)
from ulzoo.data.shard_files import Skipped, Written, content_hash, finish, total, write_shards
from ulzoo.data.source import Source
from ulzoo.errors import DataError
from ulzoo.parallel.mesh import put_batch
from ulzoo.parallel.precision import cast
from ulzoo.programs.program import to_model
from ulzoo.spec import Component, Spec

Dtype = Literal["float32", "bfloat16"]
_LATENTS, _EXACT = "latents", "latents_exact"


def encoder_hash(autoencoder: Autoencoder) -> str:
    """SHA-256 (hex) over the encoder's arrays: names, types, shapes, bytes."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(autoencoder.encoder):
        if eqx.is_array(leaf):
            values = np.asarray(leaf)
            digest.update(f"{jax.tree_util.keystr(path)} {values.dtype} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def latents_identity(spec: Spec, autoencoder: Autoencoder, source: Source, split: str) -> dict[str, Any]:
    """What latents must be made from to stand in for encoding in stage 2 of a spec; plain data.

    Args:
        autoencoder: stage 1's EMA modules in float32.
        source: the split, opened.
        split: "train", "heldout", or another word for records that are no split of the spec's data.
    """
    return {
        "encoder": encoder_hash(autoencoder),
        "noise": spec.latent.noise,
        "precision": spec.formats.compute,
        "preprocessing": preprocessing(spec.data),
        "data": {"split": split, "records": len(source), "fingerprint": source.fingerprint()},
        "views": views_for(source),
        **({"frames": list(frames)} if (frames := frames_given(spec)) else {}),
    }


def frames_given(spec: Spec) -> tuple[int, ...]:
    """Numbers of a clip's frames that stage 2 conditions on, whichever are given: they are kept beside
    latents.

    Raises:
        DataError: a conditioner looks at examples and does not say at which frames.
    """
    found: set[int] = set()
    for config in getattr(spec.base_model, "conditioners", ()):
        if not getattr(config, "gives_frames", False):
            continue
        pairs = getattr(config, "given", None)
        if pairs is None:
            raise DataError(
                f"stage2.latents: {config.type} conditions on the examples themselves, which latents on disk"
                " do not hold; leave stage2.latents out"
            )
        data: Any = spec.data
        length = data.io().shape[1]
        for first, last in pairs:
            found |= {*range(first), *range(length - last, length)}
    return tuple(sorted(found))


def encode(
    spec: Spec,
    autoencoder: Autoencoder,
    source: Source,
    out: Path,
    *,
    split: str,
    shards: int,
    mesh: Mesh,
    dtype: Dtype = "float32",
    flip: bool = False,
    draws: int = 0,
    batch_size: int = 64,
    threads: int = 2,
    advance: Callable[[int], object] = lambda steps: None,
) -> dict[str, Any]:
    """Encode a split and write it as shards; goes on where an earlier call was interrupted.

    Args:
        flip: also the mirror image of each picture: all that a dataset that only flips can draw.
        draws: so many random draws of each record in place of the plain one, for random crops.
        batch_size: pictures encoded at once; made up to a multiple of the mesh's devices.
        advance: told how many records are done.

    Returns:
        the manifest.

    Raises:
        DataError: the views asked for are not what training would draw; a record cannot be read; the folder
            holds something else.
    """
    identity = latents_identity(spec, autoencoder, source, split)
    views = DRAWS if draws else MIRRORED if flip else PLAIN
    if views != identity["views"]:
        raise DataError(_other_views(identity["views"], views))
    identity |= {"dtype": dtype, "draws": draws}
    frozen = cast(autoencoder, jnp.dtype(spec.formats.compute))
    copies = draws or (2 if flip else 1)
    batch_size = -(-batch_size // mesh.size) * mesh.size
    frames = identity.get("frames", [])

    def read(index: int) -> tuple[int, list[np.ndarray], int | None, str | None]:
        if draws:
            records = [source.draw(index, np.random.default_rng([0, index, k])) for k in range(draws)]
        else:
            records = [source[index]]
        images = [record["image"] for record in records]
        if flip:
            # The axis of width is the last but channels.
            images.append(np.ascontiguousarray(np.flip(images[0], axis=-2)))
        label = records[0].get("label")
        return index, images, None if label is None else int(label), source.caption(index)

    def some(indices: range) -> Iterator[Written | Skipped]:
        for chunk in _chunks(in_order(read, indices, threads), max(1, batch_size // copies)):
            shown = np.stack([image for _, several, _, _ in chunk for image in several])
            latents = _encoded(frozen, shown, batch_size, mesh)
            latents = latents.reshape(len(chunk), copies, *latents.shape[1:])
            for (index, images, label, caption), several in zip(chunk, latents, strict=True):
                yield Written(
                    source.record_name(index),
                    to_bytes(_stored(several, dtype)) + _frames(images, frames),
                    label,
                    caption,
                    _numbers(several, identity["noise"], caption),
                )

    written = write_shards(out, {"kind": KIND, **identity}, len(source), shards, some, advance)
    numbers = total(written)
    mean = np.array(numbers["sum"]) / numbers["count"]
    variance = np.array(numbers["squares"]) / numbers["count"] - mean**2
    manifest = {
        "kind": KIND,
        "version": 1,
        "made_from": identity,
        "records": sum(facts["records"] for facts in written),
        "shape": [int(size) for size in numbers["shape"].values()],
        "bytes": sum(facts["bytes"] for facts in written),
        "sha256": content_hash(written),
        "mean": mean.tolist(),
        "std": np.sqrt(np.maximum(variance, 0)).tolist(),
        "captions": numbers["captions"],
        **({"clip": list(_clip_shape(source))} if frames else {}),
        "replaced": source.faults(),
        "shards": [
            {name: facts[name] for name in ("file", "records", "bytes", "sha256")} for facts in written
        ],
    }
    finish(out, manifest)
    return manifest


def check_latents(cache: LatentCache, spec: Spec, autoencoder: Autoencoder, source: Source) -> None:
    """Raises DataError unless a cache may stand in for encoding in stage 2; says what differs."""
    cache.check(latents_identity(spec, autoencoder, source, "train"))


def stage2_data(spec: Spec, latents: str | Path | None, autoencoder: Any) -> Any:
    """What stage 2 reads: the spec's data, or latents that were encoded before.

    Raises:
        DataError: latents of another encoder, preprocessing or data; a condition that needs more than them.
    """
    data: Any = spec.data
    if latents is None:
        return data
    frames_given(spec)
    cache = LatentCache(latents)
    check_latents(cache, spec, autoencoder, data.open("train"))
    return cache


def trained_on(dataset: Any) -> dict[str, Any]:
    """What a checkpoint notes of the latents it was trained on: their hash, and whether they are exact."""
    if not isinstance(dataset, LatentCache):
        return {}
    return {_LATENTS: dataset.manifest["sha256"], _EXACT: dataset.is_exact()}


def check_same_latents(saved: Mapping[str, Any], dataset: Any) -> None:
    """Whether a run may go on from a checkpoint with what it reads now.

    Args:
        saved: the checkpoint's manifest.

    Raises:
        DataError: with other latents than before, and one of the two are not exact.
    """
    now = trained_on(dataset)
    exact = saved.get(_EXACT, True) and now.get(_EXACT, True)
    if saved.get(_LATENTS) != now.get(_LATENTS) and not exact:
        was, new = (str(table.get(_LATENTS, "none"))[:12] for table in (saved, now))
        raise DataError(
            f"stage 2 was trained on latents {was}, and stage2.latents now names {new}:"
            " one of them is not exact (bfloat16, or random draws), so the two are not the same data"
        )


@eqx.filter_jit
def _moments(autoencoder: Autoencoder, images: Array) -> Array:
    """uint8 (b, *space, c) → float32 (b, m, *latent): z_clean, or mean and log-variance."""

    def one(x: Array) -> Array:
        mean, log_variance = autoencoder.moments(x)
        return mean if log_variance is None else jnp.concatenate([mean, log_variance])

    return jax.vmap(one)(to_model(images))


def _encoded(autoencoder: Autoencoder, images: np.ndarray, size: int, mesh: Mesh) -> np.ndarray:
    """Any number of pictures, by one compiled program for batches of `size`."""
    found = []
    for start in range(0, len(images), size):
        rows = np.minimum(np.arange(start, start + size), len(images) - 1)
        placed = put_batch({"image": images[rows]}, mesh)
        found.append(np.asarray(_moments(autoencoder, placed["image"])))
    return np.concatenate(found)[: len(images)]


def _frames(clips: list[np.ndarray], frames: list[int]) -> bytes:
    """The frames of clips, uint8 (t, h, w, c), that are kept beside their latents."""
    return np.stack(clips)[:, frames].tobytes() if frames else b""


def _clip_shape(source: Source) -> tuple[int, ...]:
    return tuple(source[0]["image"].shape)


def _stored(views: np.ndarray, dtype: Dtype) -> np.ndarray:
    if dtype == "float32":
        return views
    return np.asarray(jnp.asarray(views).astype(jnp.bfloat16)).view(np.uint16)


def _numbers(views: np.ndarray, noise: str, caption: str | None) -> Mapping[str, Any]:
    clean = views if noise != "learned" else views[:, : views.shape[1] // 2]
    channels = np.moveaxis(clean.astype(np.float64), 1, 0).reshape(clean.shape[1], -1)
    return {
        "sum": channels.sum(1).tolist(),
        "squares": (channels**2).sum(1).tolist(),
        "count": channels.shape[1],
        "captions": int(caption is not None),
        "shape": {f"most_{axis}": size for axis, size in enumerate(views.shape)},
    }


def _chunks(things: Iterable[Any], size: int) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for thing in things:
        chunk.append(thing)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _other_views(wanted: str, given: str) -> str:
    remedy = {
        PLAIN: "leave out --flip and --draws",
        MIRRORED: "give --flip",
        DRAWS: "give --draws N: N random draws of each record stand in for fresh ones",
    }[wanted]
    return f"training on this data needs the views {wanted!r}, not {given!r}: {remedy}"


def records_at(place: str, data: Component) -> Source:
    """All records at a place, preprocessed as a run's data.

    Raises:
        DataError: nothing is there, or the run's data is no dataset of stored pictures.
    """
    from ulzoo.data.opening import open_collection
    from ulzoo.data.picture_source import PictureSource
    from ulzoo.data.pictures import PictureDataset
    from ulzoo.data.videos import VideoDataset
    from ulzoo.data.videos.files import Videos
    from ulzoo.data.videos.source import VideoSource

    if not isinstance(data, PictureDataset):
        raise DataError(
            f"the run's data, {data.type}, is no dataset of stored pictures: only its own splits,"
            " train or heldout, can be encoded"
        )
    collection = open_collection(place, labels=data.labelled)
    classes = data.classes if data.classes is not None else collection.num_classes
    if isinstance(data, VideoDataset) != isinstance(collection, Videos):
        raise DataError(f"{place!r} holds {collection.what}, other records than the run's data, {data.type}")
    reads: Any = VideoSource if isinstance(collection, Videos) else PictureSource
    return reads(collection, np.arange(len(collection)), data, classes=classes)
