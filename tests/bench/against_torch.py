"""Stage 1 beside its PyTorch twin (`torch_twin.py`), step for step.

    python tests/bench/against_torch.py check SPEC     equal weights and noise: losses and gradients compared
    python tests/bench/against_torch.py time SPEC      step times in alternation, medians and ratios as JSON

`time` keeps three processes alive, ours, the eager twin and the compiled one (`torch.compile`, the default
mode); each compiles and takes three steps first. Then rounds: each process in turn takes `--steps` steps,
one at a time and waited for, while the others sleep. Ratios are of times in the same round, and their median
is told. All take the same images, held in memory, float32, and as many threads as there are processors.
Before each round of ours the rate of a matrix product is measured, and the share of it is told. Ours keeps
freed memory, as ulzoo's commands do; `--kinds ours eager-kept compiled-kept` gives the twins the same.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

from ulzoo.allocation import keep_memory
from ulzoo.bench import processor
from ulzoo.bench.products import product_rate
from ulzoo.spec import load_spec

KINDS = ("ours", "eager", "compiled")
KEPT = ("eager-kept", "compiled-kept")
SETTLING = 3


def images_for(spec):
    import numpy as np

    channels, *space = spec.data.io().shape
    return np.random.default_rng(0).integers(0, 256, (spec.stage1.batch_size, *space, channels), np.uint8)


def ours(spec):
    import jax
    import numpy as np

    from ulzoo.assemble import assemble
    from ulzoo.flops import count_flops
    from ulzoo.parallel.mesh import put_batch
    from ulzoo.programs.stage1 import stage1

    program = stage1(assemble(spec), spec.stage1)
    images = images_for(spec)
    batch = {"image": images, "label": np.zeros(len(images), np.int32)}
    batch = put_batch({name: batch[name] for name in program.abstract_batch}, program.mesh)
    state = program.init(jax.random.key(0))

    def step():
        nonlocal state
        state, metrics = program.step(state, batch)
        return float(metrics["loss"])

    flops = count_flops(program.step, program.abstract_state, program.abstract_batch)
    return step, len(os.sched_getaffinity(0)), flops


def twin(spec, compiled):
    import torch
    from torch_twin import Training

    training = Training(spec, compiled=compiled)
    images = torch.from_numpy(images_for(spec))
    return lambda: training.step(images).item(), torch.get_num_threads(), None


def child(kind, path, overrides):
    spec = load_spec(path, overrides)
    if kind == "ours" or kind in KEPT:
        keep_memory(os.environ)
    start = time.perf_counter()
    step, threads, flops = ours(spec) if kind == "ours" else twin(spec, kind.startswith("compiled"))
    losses = [step() for _ in range(SETTLING)]
    ready = time.perf_counter() - start
    said = {"threads": threads, "flops": flops, "ready_seconds": round(ready, 1), "losses": losses}
    print(json.dumps(said), flush=True)
    for line in sys.stdin:
        times, rate = [], product_rate() if kind == "ours" else None
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        print(json.dumps([statistics.median(times), rate]), flush=True)


def measure(options):
    spec = load_spec(options.spec, options.overrides)
    processes, facts, times, rates = {}, {}, {}, []
    for kind in options.kinds:
        command = [sys.executable, __file__, "child", options.spec, "--kinds", kind]
        for override in options.overrides:
            command += ["--set", override]
        processes[kind] = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
        facts[kind], times[kind] = json.loads(processes[kind].stdout.readline()), []
    for i in range(options.rounds):
        order = options.kinds[i % len(options.kinds) :] + options.kinds[: i % len(options.kinds)]
        for kind in order:
            print(options.steps, file=processes[kind].stdin, flush=True)
            took, rate = json.loads(processes[kind].stdout.readline())
            times[kind].append(took)
            print(f"round {i + 1}: {kind} {1e3 * took:.1f} ms a step", file=sys.stderr, flush=True)
            rates += [rate] if rate else []
    for process in processes.values():
        process.stdin.close()
        process.wait()
    ratios = {
        kind: [other / mine for other, mine in zip(times[kind], times["ours"], strict=True)]
        for kind in options.kinds
        if kind != "ours" and "ours" in times
    }
    return {
        "spec": spec.name,
        "batch": spec.stage1.batch_size,
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)),
        "rounds": options.rounds,
        "steps_each": options.steps,
        "step_seconds": {kind: statistics.median(found) for kind, found in times.items()},
        "product_flops_per_second": statistics.median(rates) if rates else None,
        "share_of_product_rate": [
            round(facts["ours"]["flops"] / took / rate, 3)
            for took, rate in zip(times.get("ours", ()), rates, strict=True)
        ],
        "times_ours": {kind: round(statistics.median(found), 3) for kind, found in ratios.items()},
        "times_ours_each_round": {kind: [round(r, 3) for r in found] for kind, found in ratios.items()},
        "start": facts,
    }


def check(options):
    """Both losses and the norms of both gradients, from the same weights, times and noise; dropout is off."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import torch
    from torch_twin import Autoencoder, copy_weights

    from ulzoo.assemble import assemble
    from ulzoo.programs.program import to_model
    from ulzoo.programs.state import join, split

    spec = load_spec(options.spec, options.overrides)
    model = assemble(spec).autoencoder(jax.random.key(0))
    params, knobs, static = split(model)
    rng = np.random.default_rng(1)
    # What starts at zero would hide what lies behind it.
    params = jax.tree.map(lambda leaf: leaf + 0.02 * rng.standard_normal(leaf.shape, np.float32), params)
    model = join(params, knobs, static)
    images, count = images_for(spec), spec.stage1.batch_size
    keys = jax.random.split(jax.random.key(2), count)
    t_latent, t_data = ((np.arange(count) + u).astype(np.float32) / count for u in (0.3, 0.6))

    def ours(model):
        def one(x, t, s, key):
            rate, distortion = model.losses(x, t, s, key=key, inference=True)
            return rate.nats + distortion.loss

        pixels = np.prod(images.shape[1:3]) * np.log(2)
        return jax.vmap(one)(to_model(jnp.asarray(images)), t_latent, t_data, keys).mean() / pixels

    value, gradient = jax.jit(jax.value_and_grad(lambda params: ours(join(params, knobs, static))))(params)
    twin = Autoencoder(spec).eval()
    copy_weights(twin, model)
    latent = spec.encoder.latent_shape(spec.data.io().shape)
    draws = [jax.vmap(lambda key, i=i: jax.random.split(key, 5)[i])(keys) for i in (2, 3, 4)]
    draws[1:] = [jax.vmap(lambda key: jax.random.split(key)[0])(several) for several in draws[1:]]
    shapes = (latent, latent, spec.data.io().shape)
    noises = [
        torch.from_numpy(np.array(jax.vmap(lambda key, s=shape: jax.random.normal(key, s))(several)))
        for several, shape in zip(draws, shapes, strict=True)
    ]
    loss = twin(torch.from_numpy(images), torch.from_numpy(t_latent), torch.from_numpy(t_data), noises)
    loss.backward()
    return {
        "spec": spec.name,
        "parameters": {
            "ours": sum(leaf.size for leaf in jax.tree.leaves(params)),
            "twin": sum(p.numel() for p in twin.parameters()),
        },
        "loss": {"ours": float(value), "twin": loss.item()},
        "gradient_norm": {
            role: {"ours": _norm(jax.tree.leaves(mine)), "twin": _norm([p.grad for p in theirs.parameters()])}
            for role, mine, theirs in (
                ("encoder", gradient.encoder, twin.encoder),
                ("prior", gradient.prior.network, twin.prior.network),
                ("decoder", gradient.decoder.network, twin.decoder.network),
            )
        },
    }


def _norm(arrays):
    return math.sqrt(sum(float((array * array).sum()) for array in arrays))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("check", "time", "child"))
    parser.add_argument("spec")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS + KEPT)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args()
    if options.what == "child":
        child(options.kinds[0], options.spec, options.overrides)
    else:
        print(json.dumps((check if options.what == "check" else measure)(options), indent=2))
