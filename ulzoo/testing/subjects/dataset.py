"""Datasets."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, cast

import numpy as np

from ulzoo.data.pipeline import batches
from ulzoo.data.source import Dataset, Split
from ulzoo.interfaces import DataIO
from ulzoo.testing.case import Case
from ulzoo.testing.mismatch import Mismatch, require

LOOKED_AT = 16
"""Records of a split that are looked at, spread evenly."""
SPLITS: tuple[Split, ...] = ("train", "heldout")


class DatasetCase(Case):
    """A dataset with both splits open."""

    @property
    def dataset(self) -> Dataset:
        return cast(Dataset, self.config)

    @cached_property
    def io(self) -> DataIO:
        return self.dataset.io()

    @cached_property
    def sources(self) -> dict[Split, Any]:
        return {split: self.dataset.open(split) for split in SPLITS}

    def indices(self, split: Split) -> list[int]:
        length = len(self.sources[split])
        return sorted({int(i) for i in np.linspace(0, length - 1, min(LOOKED_AT, length))})


def io(case: DatasetCase) -> None:
    """It says the shape of an example, (channels, *space), and the number of classes."""
    got: Any = case.io
    require(isinstance(got, DataIO), "io() to give an ulzoo.interfaces.DataIO", type(got).__name__)
    sizes = isinstance(got.shape, tuple) and len(got.shape) >= 2
    sizes = sizes and all(isinstance(size, int) and size > 0 for size in got.shape)
    require(sizes, "a shape (channels, *space) of positive whole numbers", repr(got.shape))
    classes = got.num_classes
    require(classes is None or classes >= 1, "num_classes of at least 1, or None", classes)


def records(case: DatasetCase) -> None:
    """Each record of both splits has an image, an index and, with classes, a label, as the contract says."""
    for split in SPLITS:
        require(len(case.sources[split]) >= 1, f"at least one record in {split}", "none")
        for index in case.indices(split):
            _record(case.io, case.sources[split][index], f"{split}[{index}]")


def repeatable(case: DatasetCase) -> None:
    """A record is the same at every call, and in a split that is opened again."""
    for split in SPLITS:
        again = case.dataset.open(split)
        for index in case.indices(split)[:4]:
            first = case.sources[split][index]
            for source, words in ((case.sources[split], "at a second call"), (again, "when opened again")):
                got = "another one"
                require(_equal(first, source[index]), f"{split}[{index}] to be the same {words}", got)


def threads(case: DatasetCase) -> None:
    """Several threads reading at once get what one gets."""
    for split in SPLITS:
        source, indices = case.sources[split], case.indices(split)
        alone = [source[index] for index in indices]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(source.__getitem__, indices * 4))
        for place, record in enumerate(together):
            index = place % len(indices)
            same = _equal(alone[index], record)
            require(same, f"{split}[{indices[index]}] to be the same from several threads", "another one")


def draw(case: DatasetCase) -> None:
    """A record for training is a function of its index and the generator alone."""
    source = case.sources["train"]
    drawing: Callable[..., Any] | None = getattr(source, "draw", None)
    if drawing is None:
        raise Mismatch("a method draw(index, rng)", "none; derive the source from ulzoo.data.source.Source")
    for index in case.indices("train")[:4]:
        one, other = (drawing(index, np.random.default_rng(3)) for _ in range(2))
        _record(case.io, one, f"draw({index})")
        require(_equal(one, other), f"draw({index}) to be the same from equal generators", "another one")


def stream(case: DatasetCase) -> None:
    """The training stream gives equal batches for equal seeds."""
    found = []
    for _ in range(2):
        with batches(case.dataset, batch_size=4, seed=0) as stream:
            found.append(next(stream))
    require(_equal(*found), "equal batches from equal seeds", "different ones")


def _record(io: DataIO, record: Any, where: str) -> None:
    names = {"image", "index"} | ({"label"} if io.num_classes is not None else set())
    missing = names - set(record)
    require(not missing, f"{where} with {', '.join(sorted(names))}", f"no {', '.join(sorted(missing))}")
    image = np.asarray(record["image"])
    want = (*io.shape[1:], io.shape[0])
    got = f"{image.dtype} {image.shape}"
    require(
        image.dtype == np.uint8 and image.shape == want, f"{where}: image uint8 {want}, channels last", got
    )
    for name in sorted(names - {"image"}):
        value = record[name]
        got = f"{getattr(value, 'dtype', type(value).__name__)} {np.shape(value)}"
        right = getattr(value, "dtype", None) == np.int32 and np.shape(value) == ()
        require(right, f"{where}: {name} of type np.int32", got)
    if io.num_classes is not None:
        label = int(record["label"])
        require(0 <= label < io.num_classes, f"{where}: a label from 0 to {io.num_classes - 1}", label)


def _equal(one: Any, other: Any) -> bool:
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)
