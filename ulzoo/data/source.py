"""The contract of data: what a dataset config offers, and what it opens.

A dataset is a registered pydantic class (`ulzoo.dataset` entry point) that satisfies `Dataset`; opening a
split gives a `Source`: random access to records. Nothing here assumes images: a record's `image` is (*space,
C), so (H, W, C) for images and (T, H, W, C) for video.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from ulzoo.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from ulzoo.interfaces import DataIO

Split = Literal["train", "heldout"]

Record = dict[str, Any]
"""One example:
    image  uint8 (*space, C), channels last
    index  np.int32, which record of the split this is
    label  np.int32 in [0, num_classes); absent from datasets without labels
    caption  np.str_, a text, perhaps empty; absent from datasets without captions, or not asked for them. It
        stays on the host
"""


class Source(Protocol):
    """Random access to one split. Calls come from several threads at once.

    Subclass it to inherit the defaults of all but length and access.
    """

    def __len__(self) -> int:
        """How many records the split holds, at least 1."""

    def __getitem__(self, index: int) -> Record:
        """Record `index`, the same at every call, in the form that evaluation uses.

        When a damaged record is replaced by another one, `record["index"]` is the index of the one given.

        Raises:
            DataError: the record cannot be read; names it.
        """

    def draw(self, index: int, rng: np.random.Generator) -> Record:
        """Record `index` for training: random crops, flips and the like, a function of `index` and `rng`
        alone."""
        return self[index]

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of damaged records that were replaced so far, sorted; their number is its length."""
        return ()

    def faults(self) -> dict[str, str]:
        """Name of every damaged record that was replaced so far, and what was wrong with it."""
        return dict.fromkeys(self.skipped, "damaged")

    def record_name(self, index: int) -> str:
        """What messages call record `index`."""
        return f"record {index}"

    def caption(self, index: int) -> str | None:
        """The text that is stored with record `index`, None without."""
        return None

    def fingerprint(self) -> str:
        """Changes when the split holds other records; empty where that cannot be told."""
        return ""

    def written(self) -> str:
        """Changes when the files that the split lies in are written, if only with as many bytes as before.

        It is of this machine, where `fingerprint` is of the records: for what is kept in the cache. Empty
        where it cannot be told.
        """
        return ""

    def augmentation(self) -> str:
        """What `draw` adds: "none"; "flip": a mirror image where `rng.random()` < 1/2; or "random"."""
        return "none" if type(self).draw is Source.draw else "random"

    def under_way(self) -> list[tuple[str, float]]:
        """Name of each record that is being read now, and for how many seconds; the longest first."""
        return []

    @property
    def timeout(self) -> float | None:
        """Seconds that a record may take; a worker process that stays with one for longer is ended."""
        return None

    def report_to(self, tell: Callable[[int | None], object]) -> None:
        """Have `tell` called with the index of each record that is read in place of a damaged one, before it
        is, and with None after; of a source that replaces none, the index that was asked for is enough."""
        return

    def condemn(self, index: int, reason: str) -> None:
        """Count a record as damaged from now on: it hung, or ended the process that read it.

        Raises:
            DataError: damaged records are not replaced.
        """
        raise DataError(f"{self.record_name(index)} is damaged ({reason})")


def augmentation_of(source: Source) -> str:
    """Its `augmentation`; of a source that does not inherit the defaults nothing is known: "random"."""
    return getattr(source, "augmentation", lambda: "random")()


@runtime_checkable
class Dataset(Protocol):
    """What a dataset config offers beside its fields."""

    def io(self) -> DataIO:
        """Shape (C, *space) and number of classes, without opening the data when the fields suffice.

        Raises:
            DataError: the fields do not suffice and the data is not there.
        """

    def open(self, split: Split) -> Source:
        """Open a split.

        Raises:
            DataError: the data is missing, empty, or other than the fields say.
        """
