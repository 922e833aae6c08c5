"""A source of one's own: its records are read like any, and what they hold is checked."""

from __future__ import annotations

import io

import numpy as np
import pytest

from ulzoo.data.collection import Collection, Picture
from ulzoo.data.decode import CorruptImage
from ulzoo.data.pictures import PictureDataset


def test_a_source_of_ones_own_is_twenty_lines(tmp_path):
    from typing import Literal

    class Ramp(Collection):
        where, class_names = "ramp", ("dark", "light")

        def __len__(self):
            return 40

        def __getitem__(self, index):
            if index == 7:
                raise CorruptImage("as it happens")
            pixels = np.full((6, 8, 3), 6 * index, np.uint8)
            return Picture(f"{index}", pixels, label=index // 20, caption=f"number {index}")

        def name(self, index):
            return f"{index}"

    class RampConfig(PictureDataset):
        """A ramp."""

        type: Literal["acme.ramp.v1"] = "acme.ramp.v1"

        def collect(self, root):
            return Ramp()

    from ulzoo.testing import check_component

    source = RampConfig(root="x", size=4, corrupt="skip", heldout_fraction=0.3).open("train")
    assert source.faults() in ({}, {"7": "as it happens"})
    value = int(source[3]["image"][0, 0, 0]) // 6
    assert (source.record_name(3), source.caption(3)) == (f"{value}", f"number {value}")
    assert source[3]["label"] == value // 20
    example = {"root": "x", "size": 4, "corrupt": "skip", "heldout_fraction": 0.3}
    check_component(RampConfig, example, kind="dataset")


def test_pixels_that_are_no_picture():
    from ulzoo.data.decode import decode

    for pixels in (np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4), np.float32), np.zeros((4,), np.uint8)):
        with pytest.raises(CorruptImage, match="pixels are"):
            decode(pixels, (2, 2), channels=3)
    grey = decode(np.full((4, 4, 1), 9, np.uint8), (2, 2), channels=3)
    assert (grey == 9).all()
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3), allow_pickle=False)
    with pytest.raises(CorruptImage):
        decode(buffer.getvalue(), (2, 2), channels=3)
