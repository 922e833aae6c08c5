"""Draws clips and the images beside them."""

from __future__ import annotations

import hashlib

import numpy as np

from ulzoo.data.source import Record, Source


class WithImagesSource(Source):
    """The records of `clips`; training ones have besides:

        still        uint8 (k, 1, H, W, C): k images, clips of one frame
        still_label  int32 (k,), where there are labels

    What is drawn of the images is of training alone: a record by its index is the clip.
    """

    def __init__(self, clips: Source, images: Source, per_clip: int) -> None:
        self._clips, self._images, self._per_clip = clips, images, per_clip

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int) -> Record:
        return self._clips[index]

    def draw(self, index: int, rng: np.random.Generator) -> Record:
        """A clip as its dataset draws it, then the images."""
        record = dict(self._clips.draw(index, rng))
        chosen = rng.integers(len(self._images), size=self._per_clip)
        images = [self._images.draw(int(place), rng) for place in chosen]
        frame = record["image"][:1].shape
        record["still"] = np.stack([image["image"].reshape(frame) for image in images])
        if "label" in record:
            record["still_label"] = np.stack([image["label"] for image in images])
        return record

    def augmentation(self) -> str:
        return "random"

    @property
    def skipped(self) -> tuple[str, ...]:
        return tuple(sorted(self.faults()))

    def faults(self) -> dict[str, str]:
        return {**self._clips.faults(), **self._images.faults()}

    def record_name(self, index: int) -> str:
        return self._clips.record_name(index)

    def caption(self, index: int) -> str | None:
        return self._clips.caption(index)

    def fingerprint(self) -> str:
        """SHA-256 (hex) of both; empty where either cannot be told."""
        both = self._clips.fingerprint(), self._images.fingerprint()
        return hashlib.sha256("\n".join(both).encode()).hexdigest() if all(both) else ""

    def written(self) -> str:
        return self._clips.written() + self._images.written()

    def under_way(self) -> list[tuple[str, float]]:
        found = self._clips.under_way() + self._images.under_way()
        return sorted(found, key=lambda one: -one[1])

    def condemn(self, index: int, reason: str) -> None:
        self._clips.condemn(index, reason)
