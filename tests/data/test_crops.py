"""Crops of a stated number of pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image
from stored_formats import opened
from stored_pictures import noise

from ulzoo.data.image_folder import ImageFolderConfig


def test_a_crop_of_the_targets_size_copies_pixels(tmp_path):
    pixels = noise((20, 30))
    (tmp_path / "data").mkdir()
    Image.fromarray(pixels).save(tmp_path / "data" / "a.png")
    source = opened(
        ImageFolderConfig, tmp_path / "data", size=8, crop_size=8, crop="random", flip=True, labels="none"
    )
    np.testing.assert_array_equal(source[0]["image"], pixels[6:14, 11:19])
    windows = {
        pixels[y : y + 8, x : x + 8, :][:, ::step].tobytes()
        for y in range(13)
        for x in range(23)
        for step in (1, -1)
    }
    drawn = [source.draw(0, np.random.default_rng(seed))["image"] for seed in range(40)]
    assert all(image.tobytes() in windows for image in drawn)
    assert len({image.tobytes() for image in drawn}) > 30
    # As far as the picture reaches; and resized where the two differ.
    assert opened(ImageFolderConfig, tmp_path / "data", size=8, crop_size=50, labels="none")[0]["image"].shape
    half = opened(ImageFolderConfig, tmp_path / "data", size=4, crop_size=8, resize="box", labels="none")
    mean = pixels[6:14, 11:19].reshape(4, 2, 4, 2, 3).mean((1, 3))
    assert np.abs(half[0]["image"] - mean).max() <= 1  # rounding of Pillow's two passes
