"""Sampling against its bare network evaluations: python tests/bench/sampling.py [SPEC] [--count 1000]

Digits of `specs/digits.yaml` with fresh weights: 50 steps of DDIM for the latent, 30 ancestral steps for the
picture, without guidance, in batches of `--batch`: `ulzoo.generate`, until the uint8 pictures are on the
host. Beside it, the same number of evaluations of the two networks on batches of the same size, each a call
of its own of a compiled function, one after the other. Both in turn, `--rounds` times after one that is not
counted; the median ratio is told.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import ulzoo
from ulzoo.allocation import keep_memory
from ulzoo.interfaces import SamplerIO


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec", nargs="?", default="specs/digits.yaml")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--steps", type=int, nargs=2, default=[50, 30])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    # As ulzoo's commands do.
    keep_memory(os.environ)
    for_latent, for_picture = options.steps
    spec = ulzoo.load_spec(
        options.spec,
        [
            f"sample.sampler={{type: ulzoo.ddim.v1, steps: {for_latent}}}",
            f"sample.decoder_sampler={{type: ulzoo.ancestral.v1, steps: {for_picture}}}",
        ],
    )
    assembly = ulzoo.assemble(spec)
    autoencoder = eqx.filter_jit(assembly.autoencoder)(jax.random.key(0))
    base = eqx.filter_jit(assembly.base_model)(jax.random.key(1))
    samplers = [
        config.build(SamplerIO(), key=None) for config in (spec.sample.sampler, spec.sample.decoder_sampler)
    ]

    def sample():
        for first in range(0, options.count, options.batch):
            ids = jnp.arange(first, first + options.batch)
            raw, keys = {"label": ids % 10}, ulzoo.keys_for(0, ids)
            np.asarray(ulzoo.generate(autoencoder, base, raw, assembly.latent_shape, *samplers, keys))

    levels = jnp.zeros(options.batch)
    labels = jnp.arange(options.batch) % 10
    z = jnp.zeros((options.batch, *assembly.latent_shape))
    x = jnp.zeros((options.batch, *assembly.data.shape))

    def of_base(base, z, level, label):
        return base.denoise(z, level, {"label": label})

    def of_decoder(decoder, x, level, z):
        return decoder.denoise(x, level, decoder.condition(z, None))

    latent = eqx.filter_jit(eqx.filter_vmap(of_base, in_axes=(None, 0, 0, 0)))
    picture = eqx.filter_jit(eqx.filter_vmap(of_decoder, in_axes=(None, 0, 0, 0)))

    def evaluate():
        for _ in range(0, options.count, options.batch):
            for _ in range(for_latent):
                found = latent(base, z, levels, labels)
            for _ in range(for_picture):
                found = picture(autoencoder.decoder, x, levels, z)
            jax.block_until_ready(found)

    times = {"sampling": [], "evaluations": []}
    for turn in range(options.rounds + 1):
        for name, work in (("sampling", sample), ("evaluations", evaluate)):
            start = time.perf_counter()
            work()
            if turn:
                times[name].append(time.perf_counter() - start)
                print(f"round {turn}: {name} {times[name][-1]:.2f} s", file=sys.stderr, flush=True)
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    told = {name: round(statistics.median(found), 3) for name, found in times.items()}
    print(
        json.dumps(
            {
                "spec": options.spec,
                "count": options.count,
                "batch": options.batch,
                "steps": options.steps,
                "rounds": options.rounds,
                "seconds": told,
                "ratio": round(statistics.median(ratios), 3),
                "ratio_each_round": [round(ratio, 3) for ratio in ratios],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
