"""The table of `docs/how-to/plan.md`: `python tests/bench/plan_table.py` prints it as Markdown.

The same numbers as `ulzoo plan SPEC --devices N --accelerator tpu-v5e`, for several N in one process.
"""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from ulzoo.assemble import assemble
from ulzoo.inspection import inspect
from ulzoo.planning import layouts
from ulzoo.planning.accelerators import accelerator_named
from ulzoo.planning.memory import estimated
from ulzoo.planning.plan import alone_with
from ulzoo.planning.quantities import duration, size
from ulzoo.spec import load_spec

ROWS = (
    ("stage 1", "specs/imagenet512/ul-small.yaml", 1),
    ("small base", "specs/imagenet512/ul-small.yaml", 2),
    ("medium base", "specs/imagenet512/ul-medium.yaml", 2),
)
DEVICES = (256, 64, 8, 1)
UTILISATION = 0.4


def main() -> None:
    chip = accelerator_named("tpu-v5e")
    print("| program | chips | images on a chip | state | activations and gradients | peak | fits | time |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, path, stage in ROWS:
        spec = load_spec(path)
        assembly = assemble(spec)
        flops = {role.role: role.flops for role in inspect(assembly)}
        settings = spec.stage1 if stage == 1 else spec.stage2
        image = (
            3 * (flops["encoder"] + flops["prior"] + flops["decoder"])
            if stage == 1
            else 3 * flops["base_model"] + flops["encoder"]
        )
        for count in DEVICES:
            sizes = layouts.mesh_sizes(spec, count)
            program = layouts.program(spec, assembly, layouts.abstract(sizes), stage)
            share = layouts.batch_share(program)
            memory = estimated(program, alone_with(spec, assembly, sizes, stage, share))
            seconds = settings.steps * settings.batch_size * image
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
    main()
