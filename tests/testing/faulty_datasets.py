"""Faulty datasets."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from faults import FAULTS, Fault

from ulzoo.interfaces import (
    DataIO,
)
from ulzoo.spec import Component


class Records:
    """Random pictures; each fault is one argument."""

    def __init__(self, *, image=None, label=3, clock=None, noisy_draw=False, shared=False):
        self.image = np.zeros((8, 8, 1), np.uint8) if image is None else image
        self.label, self.clock, self.noisy_draw, self.shared = label, clock, noisy_draw, shared
        self.last = 0

    def __len__(self):
        return 8

    def __getitem__(self, index):
        image = self.image.copy()
        if self.shared:
            import time

            self.last = index
            time.sleep(0.002)
            image[0, 0] = self.last
        if self.clock is not None:
            self.clock.append(1)
            image[0, 0] = len(self.clock)
        return {"image": image, "index": np.int32(index), "label": np.int32(self.label)}

    def draw(self, index, rng):
        record = self[index]
        if self.noisy_draw:
            record["image"] = np.random.default_rng().integers(0, 256, record["image"].shape, dtype=np.uint8)
        return record

    skipped = ()


def dataset(check: str, words: str, io: Any = None, no_draw: bool = False, **faults: Any):
    class Data(Component):
        """Faulty."""

        type: Literal["faulty.scale.v1"] = "faulty.scale.v1"

        def io(self):
            return DataIO((1, 8, 8), 10) if io is None else io

        def open(self, split):
            source = Records(**faults)
            if no_draw:
                source = type(
                    "Source", (), {"__len__": Records.__len__, "__getitem__": lambda self, i: Records()[i]}
                )()
            return source

    FAULTS[f"Data_{check}_{len(FAULTS)}"] = Fault(Data, "dataset", check, words)


dataset("io", "expected a shape (channels, *space) of positive whole numbers, got (8,)", DataIO((8,), 10))
dataset(
    "records",
    "expected train[0]: image uint8 (8, 8, 1), channels last, got float32",
    image=np.zeros((8, 8, 1), np.float32),
)
dataset(
    "records",
    "expected train[0]: image uint8 (8, 8, 1), channels last, got uint8 (1, 8, 8)",
    image=np.zeros((1, 8, 8), np.uint8),
)
dataset("records", "expected train[0]: a label from 0 to 9, got 10", label=10)
dataset("repeatable", "expected train[0] to be the same at a second call", clock=[])
dataset("threads", "to be the same from several threads, got another one", shared=True)
dataset("draw", "expected draw(0) to be the same from equal generators", noisy_draw=True)
dataset("draw", "expected a method draw(index, rng), got none", no_draw=True)
dataset("stream", "expected equal batches from equal seeds, got different ones", noisy_draw=True)
