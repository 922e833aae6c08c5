"""Statistics of reference images, kept between measurements: a network looks at a training set once.

They are kept under all that they depend on: which records, what is done to them, the network, its weights,
and how images are resized for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ulzoo.data.index_cache import recall, remember
from ulzoo.data.latents import preprocessing
from ulzoo.data.source import Source
from ulzoo.metrics.collecting import Collection, Request, collect
from ulzoo.metrics.sinks import Gaussian, Moments, SetHash
from ulzoo.metrics.streams import Opened, Real, Stream
from ulzoo.spec.component import Component

KEPT_FROM = 1000
"""Images from which on statistics are kept; fewer are measured in the time that reading would take."""
VERSION = 1

Identity = Callable[[Real], Mapping[str, Any] | None]
"""What the images of a stream are, as plain data; None where that cannot be told, or they are too few."""


class Kept:
    """Collecting that looks among what was kept first.

    Args:
        identify: what the images of a stream are.
    """

    def __init__(self, identify: Identity) -> None:
        self._identify = identify

    def collect(
        self,
        requests: Sequence[Request],
        open_stream: Callable[[Stream], Opened],
        known: Collection,
        sound: Callable[[], bool],
    ) -> Collection:
        """As `ulzoo.metrics.collecting.collect`; keeps what was computed if, after that, `sound` says so."""
        keys = keys_of([request for request in requests if request not in known.values], self._identify)
        found = recalled(keys)
        known.values |= found
        collected = collect(requests, open_stream, known)
        if sound():
            keep(collected.values, {request: key for request, key in keys.items() if request not in found})
        return collected


def identity(data: Any, source: Source, stream: Real) -> dict[str, Any] | None:
    """What the images of a split are, for statistics that are kept.

    Args:
        data: the dataset's configuration.
        source: the split of it, opened.
    """
    count = len(source) if stream.limit is None else min(stream.limit, len(source))
    if count < KEPT_FROM or not isinstance(data, Component):
        return None
    fingerprint = source.fingerprint()
    if not fingerprint:
        return None
    how = preprocessing(data)
    found = {"split": stream.split, "limit": stream.limit, "records": fingerprint, "preprocessing": how}
    # A fingerprint may know no more than sizes; what is kept here may also go by when files were written.
    return {**found, "written": written} if (written := source.written()) else found


def keys_of(requests: Sequence[Request], identify: Identity) -> dict[Request, str]:
    """Of requests that can be kept, the key that each is kept under."""
    keys = {}
    for request in requests:
        if not isinstance(request.stream, Real) or not isinstance(request.sink, Gaussian | SetHash):
            continue
        images = identify(request.stream)
        if images is not None:
            network = None if request.network is None else request.network.protocol()
            sink = request.sink.of if isinstance(request.sink, Gaussian) else "hash"
            what = {"statistics": sink, "version": VERSION, "images": images, "network": network}
            keys[request] = json.dumps(what, sort_keys=True)
    return keys


def recalled(keys: Mapping[Request, str]) -> dict[Request, Any]:
    """Results of those that were kept."""
    found: dict[Request, Any] = {}
    for request, key in keys.items():
        arrays = recall(key)
        if arrays is not None:
            found[request] = _result(request, arrays)
    return found


def keep(results: Mapping[Request, Any], keys: Mapping[Request, str]) -> None:
    """Keeps results under their keys; where nothing can be written, does nothing."""
    for request, key in keys.items():
        result = results[request]
        if isinstance(result, Moments):
            count = np.array(result.count)
            remember(key, {"count": count, "mean": result.mean, "covariance": result.covariance})
        else:
            digest, number = result
            remember(key, {"sha256": np.frombuffer(digest.encode(), np.uint8), "count": np.array(number)})


def _result(request: Request, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(request.sink, Gaussian):
        return Moments(int(arrays["count"]), arrays["mean"], arrays["covariance"])
    return arrays["sha256"].tobytes().decode(), int(arrays["count"])
