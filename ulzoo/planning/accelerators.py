"""Public figures of accelerators: peak rate of matrix products and memory, each with its source. No JAX here.

Rates are dense (makers also print those of half-empty matrices, which are twice as high) and of the number
format that JAX multiplies in by default: float32 products are rounded to TF32 on NVIDIA's tensor cores and to
bfloat16 on TPUs.
"""

from __future__ import annotations

from dataclasses import dataclass

from ulzoo.errors import RunError
from ulzoo.spec.messages import nearest


@dataclass(frozen=True)
class Accelerator:
    """One device as JAX counts them.

    Attributes:
        bfloat16, float32: peak of matrix products of a spec's `precision`, in TFLOP/s.
        memory: in GB of 10⁹ bytes, as printed; what a program may use is a little less.
        source: where the figures were published.
    """

    name: str
    bfloat16: float
    float32: float
    memory: float
    source: str

    def rate(self, precision: str) -> float:
        """FLOP/s at the precision of a spec."""
        return 1e12 * (self.bfloat16 if precision == "bfloat16" else self.float32)

    @property
    def bytes(self) -> int:
        return round(1e9 * self.memory)


_TPU = "Google Cloud, TPU system architecture: https://cloud.google.com/tpu/docs"
_NVIDIA = "NVIDIA data sheet, half of the figure with sparsity: https://www.nvidia.com/en-us/data-center"
ACCELERATORS = {
    accelerator.name: accelerator
    for accelerator in (
        Accelerator("tpu-v4", 275, 275, 32, f"{_TPU}/v4"),
        Accelerator("tpu-v5e", 197, 197, 16, f"{_TPU}/v5e"),
        Accelerator("tpu-v5p", 459, 459, 95, f"{_TPU}/v5p"),
        Accelerator("tpu-v6e", 918, 918, 32, f"{_TPU}/v6e"),
        Accelerator("a100-40gb", 312, 156, 40, f"{_NVIDIA}/a100/"),
        Accelerator("a100-80gb", 312, 156, 80, f"{_NVIDIA}/a100/"),
        Accelerator("l4", 121, 60, 24, f"{_NVIDIA}/l4/"),
        Accelerator("l40s", 362, 183, 48, f"{_NVIDIA}/l40s/"),
        Accelerator("h100", 989, 494, 80, f"{_NVIDIA}/h100/ (SXM)"),
        Accelerator("h200", 989, 494, 141, f"{_NVIDIA}/h200/ (SXM)"),
    )
}
"""Name → figures."""

OF_TOPOLOGY = {"v4": "tpu-v4", "v5e": "tpu-v5e", "v5p": "tpu-v5p", "v5": "tpu-v5p", "v6e": "tpu-v6e"}
"""Kind of a topology, the part before its colon → accelerator."""


def accelerator_named(name: str) -> Accelerator:
    """Raises RunError, with the nearest name, for one that is not in the table."""
    if name in ACCELERATORS:
        return ACCELERATORS[name]
    near = nearest(name.lower(), sorted(ACCELERATORS))
    hint = f"; did you mean '{near}'?" if near else ""
    known = ", ".join(ACCELERATORS)
    raise RunError(f"--accelerator: no figures for {name!r}{hint}\n    known: {known}")
