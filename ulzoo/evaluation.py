"""A trained run, seen from the metrics: implements `ulzoo.metrics.base.Evaluation`."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from ulzoo.assemble import Assembly
from ulzoo.autoencoder import Autoencoder
from ulzoo.data.drawn import Drawn
from ulzoo.data.pipeline import eval_batches, spread
from ulzoo.data.source import Source, Split
from ulzoo.errors import RunError
from ulzoo.interfaces import AbstractBase, SamplerIO
from ulzoo.metrics.base import RateTable, joined
from ulzoo.metrics.collecting import Collection, Request
from ulzoo.metrics.reference_cache import Kept, identity
from ulzoo.metrics.streams import (
    ImageBatch,
    Opened,
    Predictions,
    Real,
    Reconstructions,
    Samples,
    Stream,
    real_batches,
)
from ulzoo.parallel.mesh import batch_ways, fetch, put_whole
from ulzoo.parallel.precision import cast
from ulzoo.parallel.processes import several
from ulzoo.programs.generate import generate
from ulzoo.programs.measure import keys_for, rates, reconstruct
from ulzoo.programs.program import raw_conditions
from ulzoo.programs.single_stage import sampled_prior
from ulzoo.programs.starts import SobolStarts
from ulzoo.progress import Progress
from ulzoo.spec import Component, Sample

KEPT_BYTES = 1 << 26
"""Images up to which a stream is kept as a whole; more are passed over a batch at a time."""


@dataclass
class TrainedEvaluation:
    """What metrics may ask of trained modules. Results are kept: several metrics share one set of samples.

    Attributes:
        stage: 1, or 2 with a base model.
        step: optimiser steps that the stage has been trained for.
        data: the dataset's configuration.
        sample: settings of sampling.
        protocol: what all numbers share.
        dtype: compute dtype of the networks.
        quiet: show no progress.
        indices: by split and limit, the places in the split, (n,), of images that were asked for.
    """

    stage: int
    step: int
    data: Any
    assembly: Assembly
    autoencoder: Autoencoder
    base: AbstractBase | None
    sample: Sample
    mesh: Mesh
    protocol: Mapping[str, Any]
    dtype: str = "float32"
    quiet: bool = False
    _kept: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    _sources: dict[str, Source] = field(default_factory=dict)
    _drawn: dict[int, np.ndarray] = field(default_factory=dict)
    indices: dict[tuple[str, int | None], np.ndarray] = field(default_factory=dict)
    _size: int = 0
    _collected: Collection = field(default_factory=Collection.empty)

    def __post_init__(self) -> None:
        self.autoencoder = cast(self.autoencoder, jnp.dtype(self.dtype))
        self.base = cast(self.base, jnp.dtype(self.dtype))

    @property
    def pixels(self) -> int:
        return math.prod(self.assembly.data.shape[1:])

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.assembly.latent_shape

    @property
    def is_bound(self) -> bool:
        return self.autoencoder.is_bound

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of damaged records that were met and replaced."""
        return tuple(sorted({name for source in self._sources.values() for name in source.skipped}))

    def source(self, split: Split) -> Source:
        if split not in self._sources:
            self._sources[split] = self.data.open(split)
        return self._sources[split]

    def images(self, split: Split, limit: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8 (n, *space, c) and int32 labels (n,), None without labels; `limit` of them, spread evenly."""

        def make() -> tuple[np.ndarray, np.ndarray | None]:
            batches = [
                {name: value[batch["mask"]] for name, value in batch.items()}
                for batch in eval_batches(self.source(split), self._batch_size, limit)
            ]
            labels = np.concatenate([b["label"] for b in batches]) if "label" in batches[0] else None
            self.indices[split, limit] = np.concatenate([b["index"] for b in batches])
            return np.concatenate([b["image"] for b in batches]), labels

        return self._once(("images", split, limit), make)

    def rates(self, split: Split, limit: int | None, times: int, seed: int, draws: int = 0) -> RateTable:
        """Rates of the images that `images(split, limit)` gives; `draws`: of draws as for training."""
        if draws:
            return self._once(
                ("rates of draws", split, limit, times, seed, draws),
                lambda: joined([self._rates(split, limit, times, seed, turn) for turn in range(draws)]),
            )
        key = ("rates", split, limit, times, seed)
        return self._once(key, lambda: self._rates(split, limit, times, seed, None)[0])

    def _rates(
        self, split: Split, limit: int | None, times: int, seed: int, turn: int | None
    ) -> tuple[RateTable, np.ndarray]:
        """Rates, and the places in the split of the records that they are of."""
        parts: list[list[np.ndarray]] = []
        drawn = None if turn is None else Drawn(self.source(split), seed, turn)
        for batch, mask in self._batches(split, limit, "rates", drawn):
            keys = keys_for(seed, batch["index"])
            if turn is not None:
                keys = jax.vmap(lambda key: jax.random.fold_in(key, turn))(keys)
            fetched = fetch((*rates(self.autoencoder, batch["image"], keys, times), batch["index"]))
            parts.append([np.asarray(part)[mask] for part in fetched])
        *columns, index = (np.concatenate(column) for column in zip(*parts, strict=True))
        return RateTable(*columns), index

    def reconstructions(
        self, split: Split, limit: int | None, seed: int, sampler: Component | None
    ) -> tuple[np.ndarray, np.ndarray, Mapping[str, Any]]:
        """Originals, reconstructions, and their protocol."""
        config = self.sample.decoder_sampler if sampler is None else sampler

        def make() -> tuple[np.ndarray, np.ndarray, Mapping[str, Any]]:
            built = config.build(SamplerIO(), key=None)
            originals, results = [], []
            for batch, mask in self._batches(split, limit, "reconstructions"):
                keys, raw = keys_for(seed, batch["index"]), raw_conditions(batch)
                results.append(fetch(reconstruct(self.autoencoder, batch["image"], keys, built, raw))[mask])
                originals.append(fetch(batch["image"])[mask])
            protocol = {"decoder_sampler": config.model_dump(mode="json"), "seed": seed}
            return np.concatenate(originals), np.concatenate(results), protocol

        return self._once(("reconstructions", split, limit, seed, config.model_dump_json()), make)

    def samples(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray | None, Mapping[str, Any]]:
        """Samples of all classes in turn, their labels, and their protocol."""
        labels = self._labels(count)
        drawn = self._drawn.get(seed)
        # A sample depends on seed, number and label alone: a smaller set is the beginning of a larger one.
        if drawn is None or len(drawn) < count:
            drawn = self._drawn[seed] = self.draw(count, labels, seed)
        return drawn[:count], labels, {**self.sampling_protocol(), "seed": seed}

    def sampling_protocol(self) -> dict[str, Any]:
        """Samplers, steps and guidance; the prior of stage 1 has no conditions that could guide it."""
        names = {"sampler", "decoder_sampler", "guidance", "starts"}
        how = self.sample.model_dump(include=names, mode="json")
        return how if self.stage == 2 else how | {"guidance": None, "model": "the prior of stage 1"}

    def draw(self, count: int, labels: np.ndarray | None, seed: int, *, still: bool = False) -> np.ndarray:
        """`count` samples, uint8 (count, *space, c); the i-th depends on seed, i and its label alone. In
        stage 1 the prior makes them, whatever the label. `still`: clips of one frame, if it trains on images.

        With Sobol starts it depends on how many samples of its label came before, too.

        Raises:
            RunError: there is no base model.
            InterfaceError: the prior is none that can be sampled from, or training had no such images.
        """
        return np.concatenate([images for _, images in self._drawing(count, labels, seed, still)])

    def _drawing(
        self, count: int, labels: np.ndarray | None, seed: int, still: bool = False
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Samples batch by batch: their numbers and images."""
        shape = self.assembly.still_latent_shape if still else self.latent_shape
        base: Any = sampled_prior(self.autoencoder.prior) if self.stage == 1 else self.base
        if base is None:
            raise RunError("there is no base model to sample from: train stage 2 first")
        sampler = self.sample.sampler.build(SamplerIO(), key=None)
        decoder_sampler = self.sample.decoder_sampler.build(SamplerIO(), key=None)
        starts = SobolStarts(shape, seed) if self.sample.starts == "sobol" else None
        size = self._rounded(min(self.sample.batch_size, count))
        with self._progress("samples", -(-count // size), size) as progress:
            for start in range(0, count, size):
                indices = np.arange(start, start + size, dtype=np.int32)
                batch = {"index": indices}
                if labels is not None:
                    batch["label"] = labels[np.minimum(indices, count - 1)]
                if starts is not None:
                    batch["start"] = starts.next(batch.get("label"), size)
                placed = put_whole(batch, self.mesh)
                keys = keys_for(seed, placed.pop("index"))
                start_noise = placed.pop("start", None)
                guided = (self.sample.guidance.scale, self.sample.guidance.log_snr_interval)
                how = (sampler, decoder_sampler, keys, *guided, start_noise)
                images = generate(self.autoencoder, base, placed, shape, *how)
                kept = indices < count
                yield indices[kept], fetch(images)[kept]
                progress.advance()

    def collect(self, requests: Sequence[Request]) -> Collection:
        """What is kept of streams of images; what was asked for before is not measured again."""
        # Processes look into folders of their own, and must all pass over the images or none.
        kept = Kept(lambda one: None if several() else identity(self.data, self.source(one.split), one))
        return kept.collect(requests, self._open, self._collected, lambda: not self.skipped)

    def _open(self, stream: Stream) -> Opened:
        """A stream, to be passed over a batch at a time."""
        if isinstance(stream, Samples):
            how = {**self.sampling_protocol(), "seed": stream.seed}
            return Opened(stream.count, how, self._sample_batches(stream))
        count = len(self.source(stream.split))
        count = count if stream.limit is None else min(stream.limit, count)
        if isinstance(stream, Real):
            return Opened(count, {}, self._image_batches(stream, count))
        if isinstance(stream, Predictions):
            how = self._prediction_protocol(stream.given, stream.seed)
            return Opened(count, how, self._prediction_batches(stream))
        config = self.sample.decoder_sampler if stream.sampler is None else stream.sampler
        how = {"decoder_sampler": config.model_dump(mode="json"), "seed": stream.seed}
        return Opened(count, how, self._reconstruction_batches(stream, config, count))

    def _sample_batches(self, stream: Samples) -> Iterator[ImageBatch]:
        labels = self._labels(stream.count)
        drawn = self._drawn.get(stream.seed)
        if self._few(stream.count, 1) or (drawn is not None and len(drawn) >= stream.count):
            images, _, _ = self.samples(stream.count, stream.seed)
            pairs = self._in_parts(np.arange(stream.count), images)
        else:
            pairs = self._drawing(stream.count, labels, stream.seed)
        for rows, images in pairs:
            yield ImageBatch(rows.astype(np.int64), images, None, None if labels is None else labels[rows])

    def _image_batches(self, stream: Real, count: int) -> Iterator[ImageBatch]:
        if self._few(count, 1):
            images, labels = self.images(stream.split, stream.limit)
            columns = [self._places(stream), images, *([] if labels is None else [labels])]
            for rows, part, *told in self._in_parts(*columns):
                yield ImageBatch(rows, part, None, *told)
            return
        size = self._batch_size
        with self._progress(f"{stream.split} images", -(-count // size), size) as progress:
            for batch in real_batches(self.source(stream.split), size, stream.limit):
                yield batch
                progress.advance()

    def _reconstruction_batches(
        self, stream: Reconstructions, config: Component, count: int
    ) -> Iterator[ImageBatch]:
        key = ("reconstructions", stream.split, stream.limit, stream.seed, config.model_dump_json())
        if key in self._kept or self._few(count, 2):
            asked = (stream.split, stream.limit)
            originals, results, _ = self.reconstructions(*asked, stream.seed, stream.sampler)
            for rows, images, real in self._in_parts(self._places(stream), results, originals):
                yield ImageBatch(rows, images, real, None)
            return
        built, start = config.build(SamplerIO(), key=None), 0
        for batch, mask in self._batches(stream.split, stream.limit, "reconstructions"):
            keys, raw = keys_for(stream.seed, batch["index"]), raw_conditions(batch)
            images = fetch(reconstruct(self.autoencoder, batch["image"], keys, built, raw))[mask]
            rows = np.arange(start, start + len(mask))
            start += len(mask)
            yield ImageBatch(rows[mask], images, fetch(batch["image"])[mask], None)

    def _places(self, stream: Real | Reconstructions) -> np.ndarray:
        """Of images that were gone through before, without those that damaged records were replaced by."""
        chosen = spread(len(self.source(stream.split)), stream.limit)
        return np.searchsorted(chosen, self.indices[stream.split, stream.limit])

    def _few(self, count: int, sets: int) -> bool:
        """Whether so many sets of so many images are kept in memory, for whoever asks for them next."""
        return sets * count * math.prod(self.assembly.data.shape) <= KEPT_BYTES

    def _in_parts(self, *columns: np.ndarray) -> Iterator[Any]:
        for start in range(0, len(columns[0]), self._batch_size):
            yield tuple(column[start : start + self._batch_size] for column in columns)

    def _labels(self, count: int) -> np.ndarray | None:
        """Of samples: all classes in turn; None for data without labels."""
        classes = self.assembly.data.num_classes
        return None if classes is None else np.arange(count, dtype=np.int32) % classes

    def predictions(
        self, split: Split, limit: int | None, given: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, Mapping[str, Any]]:
        """Clips of a split and what follows their first `given` frames."""

        def make() -> tuple[np.ndarray, np.ndarray, Mapping[str, Any]]:
            pairs = list(self._predicting(Predictions(split, limit, given, seed)))
            originals, results = (np.concatenate(column) for column in zip(*pairs, strict=True))
            return originals, results, self._prediction_protocol(given, seed)

        return self._once(("predictions", split, limit, given, seed), make)

    def _prediction_protocol(self, given: int, seed: int) -> dict[str, Any]:
        return {**self.sampling_protocol(), "starts": "independent", "seed": seed, "given": given}

    def _predicting(self, stream: Predictions) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Clips, and what is predicted of them, a batch at a time."""
        from ulzoo.completion import complete

        mask = np.arange(self.assembly.data.shape[1]) < stream.given
        for batch, real in self._batches(stream.split, stream.limit, "predictions"):
            keys = keys_for(stream.seed, batch["index"])
            found = complete(self, batch["image"], mask, keys, batch.get("label"))
            yield fetch(batch["image"])[real], found[real]

    def _prediction_batches(self, stream: Predictions) -> Iterator[ImageBatch]:
        key = ("predictions", stream.split, stream.limit, stream.given, stream.seed)
        pairs = iter([self._kept[key][:2]]) if key in self._kept else self._predicting(stream)
        start = 0
        for originals, results in pairs:
            yield ImageBatch(np.arange(start, start + len(results)), results, originals)
            start += len(results)

    def found(self, what: str, split: Split, index: np.ndarray) -> Iterator[tuple[Any, Any, np.ndarray]]:
        """Results of earlier calls that hold all of these images: arguments, results, their rows."""
        for key, value in self._kept.items():
            if key[:2] == (what, split):
                measured = self.indices[split, key[2]]
                rows = np.searchsorted(measured, index)
                if rows.max() < len(measured) and (measured[rows] == index).all():
                    yield key, value, rows

    def asked_of_rates(self, split: Split) -> Iterator[tuple[int, int]]:
        """Noise levels per image and seed of each call of `rates` so far."""
        return (key[3:] for key in self._kept if key[:2] == ("rates", split))

    def one_batch(self, seed: int, **records: np.ndarray) -> tuple[dict[str, jax.Array], Any]:
        """Records, padded to a size that is compiled already if there is one, and a key for each."""
        size = max(self._size, self._rounded(len(records["index"])))
        rows = np.minimum(np.arange(size), len(records["index"]) - 1)
        placed = put_whole({name: values[rows] for name, values in records.items()}, self.mesh)
        return placed, keys_for(seed, placed["index"])

    @property
    def _batch_size(self) -> int:
        return self._rounded(min(self.sample.batch_size, 256))

    def _rounded(self, size: int) -> int:
        ways = batch_ways(self.mesh)
        return -(-size // ways) * ways

    def _batches(
        self, split: Split, limit: int | None, title: str, drawn: Drawn | None = None
    ) -> Iterator[tuple[dict[str, jax.Array], np.ndarray]]:
        source = self.source(split) if drawn is None else drawn
        count = len(source) if limit is None else min(limit, len(source))
        size = min(self._batch_size, self._rounded(count))
        with self._progress(title, -(-count // size), size) as progress:
            indices = []
            for batch in eval_batches(source, size, limit):
                mask = batch.pop("mask")
                indices.append(batch["index"][mask])
                batch.pop("caption", None)  # of the host alone
                yield put_whole(batch, self.mesh), mask
                progress.advance()
            if drawn is None:
                self.indices[split, limit] = np.concatenate(indices)
            self._size = size

    def _progress(self, title: str, total: int, images: int) -> Progress:
        # One batch is over before a bar could be read.
        stream = io.StringIO() if self.quiet or total < 3 else None
        return Progress(title, total, images=images, unit="batches", stream=stream)

    def _once(self, key: tuple[Any, ...], make: Any) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]
