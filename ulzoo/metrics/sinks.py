"""What is kept of a pass over images: statistics in float64, or a table on disk. None holds the images."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Values = Mapping[str, np.ndarray]
"""What a network says of a batch, by name, each (n, …)."""


class Keeper(Protocol):
    """Filled batch by batch, in whatever order batches come."""

    def add(self, rows: np.ndarray, values: Values) -> None: ...

    def result(self) -> Any: ...


class Sink(Protocol):
    """Describes a keeper; equal sinks of one stream share one."""

    def start(self, count: int) -> Keeper: ...


@dataclass(frozen=True)
class Moments:
    """Mean and unbiased covariance of some features.

    Attributes:
        count: images.
        mean: (k,).
        covariance: (k, k).
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Gaussian:
    """Moments of the values `of`, (n, k)."""

    of: str

    def start(self, count: int) -> GaussianKeeper:
        return GaussianKeeper(self.of)


class GaussianKeeper:
    """Merges the moments of batches (Chan, Golub & LeVeque 1983): no sum of squares is ever taken away from
    another one, so that nothing cancels."""

    def __init__(self, of: str) -> None:
        self.of, self.count = of, 0
        self.mean = self.scatter = np.zeros(0)

    def add(self, rows: np.ndarray, values: Values) -> None:
        features = values[self.of].astype(np.float64)
        n = len(features)
        if not n:
            return
        mean = features.mean(0)
        centred = features - mean
        scatter = centred.T @ centred
        if self.count:
            total = self.count + n
            shift = mean - self.mean
            scatter += self.scatter + np.outer(shift, shift) * (self.count * n / total)
            mean = self.mean + shift * (n / total)
        self.count, self.mean, self.scatter = self.count + n, mean, scatter

    def result(self) -> Moments:
        return Moments(self.count, self.mean, self.scatter / max(self.count - 1, 1))


@dataclass(frozen=True)
class Table:
    """Every row of the values `of`, on disk, in the order of the stream."""

    of: str
    dtype: str = "float32"

    def start(self, count: int) -> TableKeeper:
        return TableKeeper(self.of, count, self.dtype)


class TableKeeper:
    def __init__(self, of: str, count: int, dtype: str = "float32") -> None:
        self.of, self.count, self.dtype = of, count, np.dtype(dtype)
        self.filled = np.zeros(count, bool)
        self.table: np.ndarray | None = None

    def add(self, rows: np.ndarray, values: Values) -> None:
        found = values[self.of]
        if self.table is None:
            # Without a name; gone when nothing looks into it any more.
            file = tempfile.TemporaryFile(prefix="ulzoo-features-")  # noqa: SIM115
            self.table = np.memmap(file, self.dtype, "w+", shape=(self.count, *found.shape[1:]))
        self.table[rows] = found
        self.filled[rows] = True

    def result(self) -> np.ndarray:
        if self.table is None:
            return np.zeros((0, 0), self.dtype)
        return self.table if self.filled.all() else self.table[self.filled]


@dataclass(frozen=True)
class ClassScores:
    """Sums over class probabilities of the values `of`, logits (n, k), in `splits` parts of the stream."""

    of: str
    splits: int

    def start(self, count: int) -> ClassScoresKeeper:
        return ClassScoresKeeper(self.of, self.splits, count)


class ClassScoresKeeper:
    """Attributes:
    counts: (splits,) images.
    mass: (splits, k) sums of p.
    plogp: (splits,) sums of Σ p ln p.
    """

    def __init__(self, of: str, splits: int, count: int) -> None:
        self.of, self.splits, self.total = of, splits, count
        self.counts, self.plogp = np.zeros(splits), np.zeros(splits)
        self.mass = np.zeros((splits, 0))

    def add(self, rows: np.ndarray, values: Values) -> None:
        logits = values[self.of].astype(np.float64)
        logits -= logits.max(1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        p = np.exp(log_p)
        if not self.mass.shape[1]:
            self.mass = np.zeros((self.splits, p.shape[1]))
        # The part whose bounds are i·n // splits.
        part = ((rows + 1) * self.splits - 1) // self.total
        np.add.at(self.counts, part, 1)
        np.add.at(self.mass, part, p)
        np.add.at(self.plogp, part, (p * log_p).sum(1))

    def result(self) -> np.ndarray:
        """(splits,) exp of the mean divergence KL(p ‖ mean p) of each part."""
        marginal = self.mass / self.counts[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = np.where(marginal > 0, marginal * np.log(marginal), 0).sum(1)
        return np.exp(self.plogp / self.counts - entropy)


@dataclass(frozen=True)
class SetHash:
    """SHA-256 of a set of images in the order of the stream, whatever order they come in."""

    def start(self, count: int) -> SetHashKeeper:
        return SetHashKeeper(count)


class SetHashKeeper:
    def __init__(self, count: int) -> None:
        self.digests = np.zeros((count, 16), np.uint8)
        self.filled = np.zeros(count, bool)
        self.shape: tuple[int, ...] = ()

    def add(self, rows: np.ndarray, values: Values) -> None:
        images = values["images"]
        self.shape = images.shape[1:]
        for row, image in zip(rows, images, strict=True):
            digest = hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest()
            self.digests[row] = np.frombuffer(digest, np.uint8)
            self.filled[row] = True

    def result(self) -> tuple[str, int]:
        """The hash and the number of images."""
        kept = self.digests[self.filled]
        whole = hashlib.sha256(repr(self.shape).encode())
        whole.update(kept.tobytes())
        return whole.hexdigest(), len(kept)
