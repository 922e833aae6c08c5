"""Built-ins that need more than this package: pictures, or an optional one."""

import numpy as np
import pytest
from PIL import Image

from ulzoo.testing import check_component


def test_image_folder(tmp_path, builtin_registry):
    rng = np.random.default_rng(0)
    for label in ("cats", "dogs"):
        (tmp_path / label).mkdir()
        for number in range(12):
            picture = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
            picture.save(tmp_path / label / f"{number}.png")
    example = {"root": str(tmp_path), "size": 8, "crop": "random", "flip": True, "heldout_fraction": 0.3}
    check_component("ulzoo.image_folder.v1", example, registry=builtin_registry)


def test_tensorboard(builtin_registry):
    pytest.importorskip("tensorboardX")
    check_component("ulzoo.tensorboard.v1", registry=builtin_registry)
