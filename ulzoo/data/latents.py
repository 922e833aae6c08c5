"""Latents on disk: what a frozen encoder made of a split, for stage 2 to read instead of encoding again.

A record holds one or more views of an example (the plain one; with its mirror image; or some random draws),
each the encoder's output before any noise. Noise is added where it is always added, in the step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ulzoo.data.ahead import in_order
from ulzoo.data.collections.array_record import SUFFIX, Shards, unpack
from ulzoo.data.decode import CorruptImage
from ulzoo.data.shard_files import damage, differences, load_manifest
from ulzoo.data.source import Record, Source, Split, augmentation_of
from ulzoo.data.storage import local, shards
from ulzoo.errors import DataError
from ulzoo.spec.component import Component
from ulzoo.spec.effect import Effect, on_weights

KIND = "ulzoo latents"
PLAIN, MIRRORED, DRAWS = "plain", "plain and mirrored", "draws"
HELD = 64 * 2**20
"""Bytes of latents that are held in memory once they are read."""
_WHERE = ("root", "heldout_root", "csv", "heldout_csv")
"""Fields of datasets that say where records are; which they are, the fingerprint says."""


def preprocessing(data: Component) -> dict[str, Any]:
    """What a dataset's configuration does to records, as plain data."""
    plain = on_weights(data, data.model_dump(mode="json", warnings=False), Effect.DATA)
    return {name: value for name, value in plain.items() if name not in _WHERE}


def views_for(source: Source) -> str:
    """The views that hold what training would draw from a source."""
    return {"none": PLAIN, "flip": MIRRORED}.get(augmentation_of(source), DRAWS)


def to_bytes(views: np.ndarray) -> bytes:
    """float32, or bfloat16 given as its bits in uint16, → little-endian bytes."""
    return views.astype(views.dtype.newbyteorder("<"), copy=False).tobytes()


def from_bytes(payload: bytes, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """float32 of `shape`. Raises CorruptImage: another number of values, or values that are not finite."""
    if len(payload) != math.prod(shape) * (2 if dtype == "bfloat16" else 4):
        raise CorruptImage(f"{len(payload)} bytes are not {dtype} of shape {shape}")
    if dtype == "bfloat16":
        bits = np.frombuffer(payload, "<u2").astype(np.uint32) << 16
        values = bits.view(np.float32)
    else:
        values = np.frombuffer(payload, "<f4").astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise CorruptImage("values that are not finite")
    return values.reshape(shape)


class LatentCache:
    """A folder of latents, whole and readable; all that `ulzoo.data.pipeline.batches` asks of a dataset.

    Attributes:
        folder: as it was given.
        manifest: what `ulzoo encode` wrote.

    Raises:
        DataError: there is none, it is not finished, or it is something else.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = local(str(folder))
        self.manifest = load_manifest(self.folder)
        if self.manifest.get("kind") != KIND:
            kind = self.manifest.get("kind")
            raise DataError(f"{str(self.folder)!r} holds {kind!r}, no latents of `ulzoo encode`")

    @property
    def identity(self) -> dict[str, Any]:
        """What the latents are a function of."""
        return dict(self.manifest["made_from"])

    def is_exact(self) -> bool:
        """Whether training on it is training on the encoder's own output, up to rounding."""
        return self.identity["dtype"] == "float32" and self.identity["views"] != DRAWS

    def check(self, expected: Mapping[str, Any]) -> None:
        """Raises DataError unless the latents are of this encoder, preprocessing and data; says what differs.

        Args:
            expected: entries of `identity` as they must be.
        """
        made = {name: self.identity.get(name) for name in expected}
        lines = list(differences(made, expected))
        if lines:
            told = "".join(f"\n    {line}" for line in lines)
            raise DataError(f"{str(self.folder)!r} holds latents of something else:{told}")

    def open(self, split: Split) -> LatentSource:
        """The split that was encoded. Raises DataError for another one."""
        held = self.identity["data"]["split"]
        if held != split:
            raise DataError(f"{str(self.folder)!r} holds the split {held!r}, not {split!r}")
        return LatentSource(self)


class LatentSource(Source):
    """Records with `latent`, float32 (m, *latent), in place of `image`; where a base model is given frames
    also `frames`, uint8 (t, h, w, c), black where none is ever given."""

    def __init__(self, cache: LatentCache) -> None:
        self._folder, self._views, manifest = str(cache.folder), cache.identity["views"], cache.manifest
        names = [f"{cache.folder}/{facts['file']}" for facts in manifest["shards"] if facts["records"]]
        self._records = Shards([shards(name, (SUFFIX,), "shard")[0] for name in names])
        self._shape = tuple(manifest["shape"])
        self._dtype = cache.identity["dtype"]
        self._frames: list[int] = cache.identity.get("frames", [])
        self._clip = tuple(manifest.get("clip", ()))
        if self._frames and (len(self._clip) != 4 or max(self._frames) >= self._clip[0]):
            raise DataError(f"{self._folder!r} does not say of what shape its frames are")
        self._captioned = bool(manifest.get("captions"))
        # Each record is read from the disk once, where all of them are small.
        self._held: dict[int, tuple[dict[str, Any], np.ndarray, np.ndarray]] | None = None
        if manifest["bytes"] <= HELD:
            self._held = {}
        if len(self._records) != manifest["records"]:
            raise DataError(
                f"{self._folder!r} holds {len(self._records)} records, {manifest['records']} were written"
            )

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        return self._record(index, 0)

    def augmentation(self) -> str:
        return {PLAIN: "none", MIRRORED: "flip"}.get(self._views, "random")

    def draw(self, index: int, rng: np.random.Generator) -> Record:
        """One of the views; a mirror image by the same random number by which pictures are mirrored."""
        if self._views == MIRRORED:
            return self._record(index, int(rng.random() < 0.5))
        return self._record(index, int(rng.integers(self._shape[0])) if self._views == DRAWS else 0)

    def record_name(self, index: int) -> str:
        return str(self._facts(index)[0].get("name", f"record {index}"))

    def caption(self, index: int) -> str | None:
        return self._facts(index)[0].get("caption")

    def views(self, index: int) -> np.ndarray:
        """All views of a record, float32 (views, m, *latent). Raises DataError."""
        return self._read(index)[1]

    def _read(self, index: int) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        """Facts of a record, its latents and the frames beside them."""
        if self._held is not None and index in self._held:
            return self._held[index]
        facts, payload = self._facts(index)
        try:
            read = (facts, *self._divided(payload))
        except CorruptImage as error:
            raise DataError(
                f"{self._folder!r}: latent of {facts.get('name')!r} is damaged: {error}"
            ) from error
        if self._held is not None:
            self._held[index] = read
        return read

    def _record(self, index: int, view: int) -> Record:
        facts, latents, clips = self._read(index)
        record: Record = {"latent": latents[view], "index": np.int32(index)}
        if self._frames:
            record["frames"] = np.zeros(self._clip, np.uint8)
            record["frames"][self._frames] = clips[view]
        if "label" in facts:
            record["label"] = np.int32(facts["label"])
        if self._captioned:
            record["caption"] = np.str_(facts.get("caption") or "")
        return record

    def _divided(self, payload: bytes) -> tuple[np.ndarray, np.ndarray]:
        """Latents of all views, and the frames beside them, uint8 (views, frames, h, w, c). Raises
        CorruptImage."""
        shape = (self._shape[0], len(self._frames), *self._clip[1:])
        size = math.prod(shape) if self._frames else 0
        if len(payload) < size:
            raise CorruptImage(f"{len(payload)} bytes are less than the frames of {shape}")
        end = len(payload) - size
        latents = from_bytes(payload[:end], self._shape, self._dtype)
        return latents, np.frombuffer(payload, np.uint8, size, end).reshape(shape if size else (0,))

    def _facts(self, index: int) -> tuple[dict[str, Any], bytes]:
        try:
            return unpack(self._records[index])
        except (CorruptImage, ValueError) as error:
            raise DataError(f"{self._folder!r}: record {index} is damaged: {error}") from error


def survey_latents(
    cache: LatentCache, *, threads: int = 2, advance: Callable[[int], object] = lambda steps: None
) -> tuple[list[str], bool]:
    """Reads a whole cache: lines that say what it is, and whether all of it is sound."""
    manifest, identity = cache.manifest, cache.identity
    faults = damage(cache.folder, manifest)
    source = cache.open(identity["data"]["split"])

    def one(index: int) -> str | None:
        try:
            source.views(index)
        except DataError as error:
            return str(error)
        return None

    began = time.monotonic()
    for fault in in_order(one, range(len(source)), threads):
        if fault is not None:
            faults.append(fault)
        advance(1)
    seconds = max(time.monotonic() - began, 1e-9)
    views, *shape = manifest["shape"]
    pairs = ", ".join(f"{m:.3g} ± {s:.3g}" for m, s in zip(manifest["mean"], manifest["std"], strict=True))
    size = manifest["bytes"]
    lines = [
        f"{cache.folder}: latents of {manifest['records']} records,"
        f" {views} × {tuple(shape)} {identity['dtype']} ({identity['views']})",
        f"{size / 1e6:.1f} MB, {size / max(manifest['records'], 1):.0f} bytes a record",
        f"read in {seconds:.1f} s: {len(source) / seconds:.0f} records/s, {size / 1e6 / seconds:.1f} MB/s",
        f"encoder {identity['encoder'][:12]}, noise {identity['noise']}, computed in {identity['precision']}",
        f"data: split {identity['data']['split']}, {identity['preprocessing']}",
        f"mean ± standard deviation by channel: {pairs}",
        f"captions: {manifest['captions']}",
        *(f"damaged: {fault}" for fault in faults[:10]),
        *([f"damaged: {len(faults)} in all"] if len(faults) > 10 else []),
    ]
    return lines, not faults
