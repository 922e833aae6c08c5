"""One pass over each set of images, for all metrics that look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from ulzoo.errors import DataError
from ulzoo.metrics.base import Evaluation, Record
from ulzoo.metrics.sinks import Keeper, Sink
from ulzoo.metrics.streams import ImageBatch, Opened, Predictions, Real, Reconstructions, Samples, Stream

Reader = Callable[[ImageBatch], dict[str, np.ndarray]]


class Fitted(Protocol):
    """A network that is fitted to images first, at most once for each evaluation, in place of `open`.

    Attributes:
        fitted_to: which images; they are held in memory for it.
    """

    @property
    def fitted_to(self) -> Stream: ...

    def fit(self, images: np.ndarray) -> Reader: ...

    def protocol(self) -> Mapping[str, Any]: ...


class Network(Protocol):
    """What looks at images: a frozen value, so that metrics that agree on it share its work.

    `open` loads it; `protocol` says what it is. What a reader gives for a batch may have other rows than the
    batch only if it is told so by an error.
    """

    def open(self) -> Reader: ...

    def protocol(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Request:
    """Something to keep of a stream.

    Attributes:
        stream: which images.
        sink: what to keep.
        network: what the sink is given: a network's values, or for None the batch itself (`images`).
    """

    stream: Stream
    sink: Sink
    network: Network | Fitted | None = None


@dataclass
class Collection:
    """Results of requests, and how the images of each stream were made."""

    values: dict[Request, Any]
    protocols: dict[Stream, Mapping[str, Any]]
    readers: dict[Network | Fitted, Reader]

    @classmethod
    def empty(cls) -> Collection:
        return cls({}, {}, {})

    def __getitem__(self, request: Request) -> Any:
        return self.values[request]


@dataclass(frozen=True)
class Measure:
    """A metric that says what it needs before it is measured.

    Attributes:
        requests: what it looks at; gathered for all metrics of a stage, in one pass over each stream.
        finish: from the evaluation and what was collected to records.
    """

    requests: tuple[Request, ...]
    finish: Callable[[Evaluation, Collection], list[Record]]

    def __call__(self, evaluation: Evaluation) -> list[Record]:
        return self.finish(evaluation, evaluation.collect(self.requests))


def collect(
    requests: Sequence[Request], open_stream: Callable[[Stream], Opened], known: Collection
) -> Collection:
    """Adds to `known` what of the requests it does not hold yet, and returns it.

    Samples of one seed are one stream: fewer are the beginning of more.

    Raises:
        DataError: a stream without images.
    """
    missing = [request for request in dict.fromkeys(requests) if request not in known.values]
    groups: dict[Stream, list[Request]] = {}
    for request in missing:
        stream = request.stream
        if isinstance(stream, Samples):
            most = max(
                other.stream.count
                for other in missing
                if isinstance(other.stream, Samples) and other.stream.seed == stream.seed
            )
            stream = Samples(most, stream.seed)
        groups.setdefault(stream, []).append(request)
    for stream, group in groups.items():
        opened = open_stream(stream)
        if not opened.count:
            raise DataError(f"{stream}: no images")
        known.protocols |= {request.stream: opened.protocol for request in group}
        for network in dict.fromkeys(request.network for request in group):
            if network is not None and network not in known.readers:
                known.readers[network] = _opened(network, open_stream)
        known.values |= _pass(opened, group, known.readers)
    return known


def _opened(network: Network | Fitted, open_stream: Callable[[Stream], Opened]) -> Reader:
    if not hasattr(network, "fit"):
        return cast(Network, network).open()
    fitted = cast(Fitted, network)
    return fitted.fit(np.concatenate([batch.images for batch in open_stream(fitted.fitted_to).batches]))


def _pass(
    opened: Opened, group: list[Request], readers: Mapping[Network | Fitted, Reader]
) -> dict[Request, Any]:
    keepers: dict[Request, tuple[Keeper, int]] = {}
    for request in group:
        stream = request.stream
        count = stream.count if isinstance(stream, Samples) else opened.count
        keepers[request] = (request.sink.start(count), count)
    networks = dict.fromkeys(request.network for request in group)
    for batch in opened.batches:
        if not len(batch.rows):
            continue
        for network in networks:
            own = {request: keeper for request, keeper in keepers.items() if request.network == network}
            most = max(count for _, count in own.values())
            wanted = batch.first(most)
            if not len(wanted.rows):
                continue
            values = {"images": wanted.images} if network is None else readers[network](wanted)
            for keeper, count in own.values():
                chosen = wanted.rows < count
                keeper.add(wanted.rows[chosen], {name: value[chosen] for name, value in values.items()})
    return {request: keeper.result() for request, (keeper, _) in keepers.items()}


class FromArrays:
    """Streams of an evaluation that holds its images in memory: `images`, `samples`, `reconstructions`,
    `predictions`."""

    batch = 32

    def open_stream(self: Any, stream: Stream) -> Opened:
        originals, how = None, {}
        match stream:
            case Real(split, limit):
                images, labels = self.images(split, limit)
            case Samples(count, seed):
                images, labels, how = self.samples(count, seed)
            case Reconstructions(split, limit, seed, sampler):
                originals, images, how = self.reconstructions(split, limit, seed, sampler)
                labels = None
            case Predictions(split, limit, given, seed):
                originals, images, how = self.predictions(split, limit, given, seed)
                labels = None

        def batches() -> Iterator[ImageBatch]:
            rows = np.arange(len(images))
            for start in range(0, len(images), self.batch):
                part = slice(start, start + self.batch)
                picked = (None if values is None else values[part] for values in (originals, labels))
                yield ImageBatch(rows[part], images[part], *picked)

        return Opened(len(images), how, batches())

    def collect(self: Any, requests: Sequence[Request]) -> Collection:
        """What the requests ask for, passed over anew."""
        return collect(requests, self.open_stream, Collection.empty())
