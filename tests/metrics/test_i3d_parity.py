"""I3D against PyTorch, written anew from the published architecture (1705.07750), on random weights."""

from __future__ import annotations

import numpy as np
import pytest

from ulzoo.metrics.networks.clip_readers import i3d_reader
from ulzoo.metrics.networks.i3d import i3d, narrow
from ulzoo.metrics.streams import ImageBatch
from ulzoo.weights.reading import random_tensors

FEATURES = 1e-4
BLOCKS = ["3b", "3c", "pool", "4b", "4c", "4d", "4e", "4f", "pool", "5b", "5c"]
OTHER = {
    ".b0.": ".branch_0.", ".b1a.": ".branch_1.0.", ".b1b.": ".branch_1.1.", ".b2a.": ".branch_2.0.",
    ".b2b.": ".branch_2.1.", ".b3b.": ".branch_3.1.", ".bn.": ".batch3d.", "logits.": "conv3d_0c_1x1.",
    "Conv3d_": "conv3d_", "Mixed_": "mixed_",
}  # fmt: skip


def padded(torch, x, kernel, stride):
    """Zeros as TensorFlow's SAME: so that ⌈n/s⌉ places come out, the odd one at the end."""
    pads = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return torch.nn.functional.pad(x, pads)


def reference(torch, tensors, x):
    """Logits of (b, 3, t, 224, 224)."""
    functional = torch.nn.functional
    tensors = {name: torch.tensor(value) for name, value in tensors.items()}

    def unit(name, x, stride=1):
        weight = tensors[f"{name}.conv3d.weight"]
        x = padded(torch, x, weight.shape[2:], (stride,) * 3)
        x = functional.conv3d(x, weight, stride=stride)
        mean, variance = tensors[f"{name}.bn.running_mean"], tensors[f"{name}.bn.running_var"]
        scale, shift = tensors[f"{name}.bn.weight"], tensors[f"{name}.bn.bias"]
        return functional.relu(functional.batch_norm(x, mean, variance, scale, shift, False, 0.0, 1e-3))

    def pool(x, kernel, stride):
        return functional.max_pool3d(padded(torch, x, kernel, stride), kernel, stride)

    x = pool(unit("Conv3d_1a_7x7", x, 2), (1, 3, 3), (1, 2, 2))
    x = unit("Conv3d_2c_3x3", unit("Conv3d_2b_1x1", x))
    x = pool(x, (1, 3, 3), (1, 2, 2))
    kernels = iter([(3, 3, 3), (2, 2, 2)])
    for block in BLOCKS:
        if block == "pool":
            x = pool(x, next(kernels), (2, 2, 2))
            continue
        name = f"Mixed_{block}"
        one = unit(f"{name}.b1b", unit(f"{name}.b1a", x))
        two = unit(f"{name}.b2b", unit(f"{name}.b2a", x))
        three = unit(f"{name}.b3b", pool(x, (3, 3, 3), (1, 1, 1)))
        x = torch.cat([unit(f"{name}.b0", x), one, two, three], 1)
    x = functional.avg_pool3d(x, (2, 7, 7), (1, 1, 1))
    x = functional.conv3d(x, tensors["logits.conv3d.weight"], tensors["logits.conv3d.bias"])
    return x.mean((2, 3, 4))


# 17 frames: odd at every one of the four steps that halve them, and two places for the last pool.
@pytest.mark.parametrize(("factor", "frames"), [(16, 17), pytest.param(1, 16, marks=pytest.mark.slow)])
def test_logits(factor, frames, tmp_path):
    torch = pytest.importorskip("torch")
    tensors = random_tensors(i3d, narrow(factor))
    torch.save({name: torch.tensor(value) for name, value in tensors.items()}, tmp_path / "i3d.pt")
    clips = np.random.default_rng(0).integers(0, 256, (2, frames, 48, 64, 3), dtype=np.uint8)
    with torch.no_grad():
        images = torch.tensor(clips).float().flatten(0, 1).permute(0, 3, 1, 2)
        images = torch.nn.functional.interpolate(images, (224, 224), mode="bilinear", align_corners=False)
        x = (2 * images / 255 - 1).unflatten(0, (2, frames)).transpose(1, 2)
        want = reference(torch, tensors, x).numpy()
    spread = want - want.mean(0)
    # Clips differ: parity is not that of constants.
    assert np.linalg.norm(spread) > 1e-3 * np.linalg.norm(want)
    batch = ImageBatch(np.arange(2), clips)
    found = i3d_reader(str(tmp_path / "i3d.pt"), "pytorch", 2)(batch)["logits"]
    assert found.shape == want.shape == (2, 400)
    assert np.linalg.norm(found - want) <= FEATURES * np.linalg.norm(want)
    assert np.linalg.norm(found - found.mean(0) - spread) <= 1e-2 * np.linalg.norm(spread)
    # The same arrays under the names of the other public port.
    renamed = {}
    for name, value in tensors.items():
        for ours, theirs in OTHER.items():
            name = name.replace(ours, theirs)
        renamed[name] = torch.tensor(value)
        renamed[name.rpartition(".")[0] + ".num_batches_tracked"] = torch.tensor(3)
    torch.save(renamed, tmp_path / "other.pth")
    np.testing.assert_array_equal(
        i3d_reader(str(tmp_path / "other.pth"), "pytorch", 2)(batch)["logits"], found
    )
