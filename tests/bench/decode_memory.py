"""What decoding takes in memory against the length of a clip: at once, and in windows.

    python tests/bench/decode_memory.py plan          by the compiler's plan, built for each length
    python tests/bench/decode_memory.py run LENGTH    resident memory of a process that decodes in windows

The decoder is that of docs/how-to/video.md (16 frames of 32×32, latents 4×8×8 down), of random weights: a
U-ViT whose transformer sees all of a clip. Decoded by 10 steps of ddim.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import psutil

import ulzoo
from ulzoo.beyond import Grid, _decode, decode_in_windows
from ulzoo.components.samplers.ddim import DDIMConfig
from ulzoo.interfaces import SamplerIO

PAGE = Path(__file__).parents[2] / "docs/how-to/video.md"
SAMPLER = DDIMConfig(steps=10).build(SamplerIO(), key=None)


def assembly_of(frames):
    text = next(re.finditer(r"```yaml\n(ulzoo: 1.*?)```", PAGE.read_text(), re.S))[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clips.yaml"
        path.write_text(text)
        return ulzoo.assemble(ulzoo.load_spec(path, [f"data.frames={frames}"]))


def plan():
    print(f"{'frames':>7s} {'at once':>12s}")
    for frames in (16, 32, 64, 128):
        assembly = assembly_of(frames)
        decoder = assembly.autoencoder(jax.random.key(0)).decoder
        z_0 = np.zeros(assembly.latent_shape, np.float32)
        compiled = _decode.lower(decoder, z_0, SAMPLER, jax.random.key(1)).compile().compiled
        print(f"{frames:7d} {compiled.memory_analysis().temp_size_in_bytes / 2**20:8.1f} MiB", flush=True)


def run(length):
    assembly = assembly_of(16)
    decoder = assembly.autoencoder(jax.random.key(0)).decoder
    grid = Grid(assembly.data.shape, assembly.latent_shape)
    key, process = jax.random.key(1), psutil.Process()
    small = np.zeros(grid.latent, np.float32)
    decode_in_windows(decoder, small, grid, (2, 0, 0), SAMPLER, key=key)
    before, began = process.memory_info().rss, time.perf_counter()
    shape = (grid.latent[0], length // 4, *grid.latent[2:])
    z_0 = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    made = decode_in_windows(decoder, z_0, grid, (2, 0, 0), SAMPLER, key=key)
    seconds = time.perf_counter() - began
    grown = (process.memory_info().rss - before) / 2**20
    held = (made.nbytes + z_0.nbytes) / 2**20
    print(f"{length:6d} frames: {grown:6.1f} MiB more, {held:.1f} of them clip and latent; {seconds:.1f} s")


if __name__ == "__main__":
    plan() if sys.argv[1] == "plan" else run(int(sys.argv[2]))
