"""A plugin whose encoder overflows in bfloat16, and not in float32, on images that are bright enough."""

from __future__ import annotations

import os

import numpy as np
from fake_site import distribution
from small_run import SPEC

from ulzoo.data.pipeline import batches
from ulzoo.spec import parse_spec

MODULE = '''
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from ulzoo.interfaces import AbstractEncoder
from ulzoo.spec import Component


class Trap(eqx.Module):
    threshold: float = eqx.field(static=True)

    def __call__(self, x):
        # 2 to the 64th in bfloat16, whose square is above all numbers; in float32 it is just below them.
        large = jnp.where(x.astype(jnp.float32).mean() > self.threshold, 1.8439e19, 1.0).astype(x.dtype)
        return x * (large * large / large / large)


class Encoder(AbstractEncoder):
    conv: eqx.nn.Conv
    trap: Trap

    def __call__(self, x, *, key=None):
        return self.conv(self.trap(x))


class EncoderConfig(Component):
    """A linear map of each patch, behind a trap."""

    type: Literal["acme.trap.v1"] = "acme.trap.v1"
    threshold: float = 2.0
    """Mean in [-1, 1] above which an image is too bright."""

    def build(self, io, *, key):
        conv = eqx.nn.Conv(2, io.data_shape[0], 2, 2, stride=2, key=key)
        return Encoder(conv, Trap(self.threshold))
'''

TRAPPED = (
    "\n".join(line for line in SPEC.splitlines() if not line.startswith("encoder:"))
    .partition("base_model:")[0]
    .replace("name: small", "name: trapped\nprecision: bfloat16\nencoder: {type: acme.trap.v1}")
    + """\
stage1: {steps: 40, batch_size: 8, log_every: 3, ema: 0.9, checkpoint_every: 4}
"""
)


def install(folder) -> dict[str, str]:
    """The plugin's distribution in a folder; the environment of a process that has it."""
    (folder / "acme_trap.py").write_text(MODULE)
    distribution(folder, "acme_trap", "1.0", {"encoder": {"acme.trap.v1": "EncoderConfig"}}, "acme_trap")
    return {**os.environ, "PYTHONPATH": str(folder), "XLA_FLAGS": "--xla_backend_optimization_level=0"}


def brightness(spec_text: str, steps: int) -> list[tuple[float, list[int]]]:
    """Of each step's batch: the mean of its brightest image, and the indices of its records."""
    spec = parse_spec(spec_text)
    found = []
    with batches(spec.data, batch_size=8, seed=spec.seed) as stream:
        for _ in range(steps):
            batch = next(stream)
            means = batch["image"].astype(np.float64).mean((1, 2, 3)) / 127.5 - 1.0
            found.append((float(means.max()), batch["index"].tolist()))
    return found


def first_record(spec_text: str, after: int) -> tuple[int, float, list[int]]:
    """The first step beyond `after` with a brighter image than any before: it, a threshold, its records."""
    found = brightness(spec_text, 40)
    for step in range(after + 1, 41):
        before = max(mean for mean, _ in found[: step - 1])
        if found[step - 1][0] > before + 1e-3:
            return step, (found[step - 1][0] + before) / 2, found[step - 1][1]
    raise AssertionError("no step has a brighter image than those before it")
