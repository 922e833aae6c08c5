"""The tables of `docs/how-to/plan.md`: `python tests/bench/plan_table.py [FOLDER]` prints one as Markdown.

FOLDER: of `specs`, with `ul-small.yaml` and `ul-medium.yaml`; imagenet512 if not given.
The same numbers as `ulzoo plan SPEC --devices N --accelerator tpu-v5e`, for several N in one process.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from ulzoo.assemble import assemble
from ulzoo.inspection import inspect
from ulzoo.planning import layouts
from ulzoo.planning.accelerators import accelerator_named
from ulzoo.planning.memory import estimated
from ulzoo.planning.plan import alone_with
from ulzoo.planning.quantities import duration, size
from ulzoo.spec import load_spec

ROWS = (("stage 1", "ul-small", 1), ("small base", "ul-small", 2), ("medium base", "ul-medium", 2))
DEVICES = (256, 64, 8, 1)
UTILISATION = 0.4


def main(folder: str) -> None:
    chip = accelerator_named("tpu-v5e")
    print("| program | chips | examples on a chip | state | activations and gradients | peak | fits | time |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, size_name, stage in ROWS:
        spec = load_spec(f"specs/{folder}/{size_name}.yaml")
        assembly = assemble(spec)
        flops = {role.role: role.flops for role in inspect(assembly)}
        settings = spec.stage1 if stage == 1 else spec.stage2
        example = (
            3 * (flops["encoder"] + flops["prior"] + flops["decoder"])
            if stage == 1
            else 3 * flops["base_model"] + flops["encoder"]
        )
        for count in DEVICES:
            sizes = layouts.mesh_sizes(spec, count)
            program = layouts.program(spec, assembly, layouts.abstract(sizes), stage)
            share = layouts.batch_share(program)
            memory = estimated(program, alone_with(spec, assembly, sizes, stage, share))
            seconds = settings.steps * settings.batch_size * example
            seconds /= count * chip.rate(spec.formats.compute) * UTILISATION
            cells = (
                name,
                str(count),
                f"{share:,}",
                size(memory.state),
                size(memory.gradients + memory.activations),
                size(memory.peak),
                "yes" if memory.peak <= chip.bytes else "no",
                duration(seconds),
            )
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:] or ("imagenet512",))
