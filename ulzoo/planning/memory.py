"""Memory of one training step on one device: by part from abstract shapes, or as a compiler reports it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import jax

from ulzoo.planning.liveness import peak_temporaries
from ulzoo.programs.program import Program


@dataclass(frozen=True)
class StepMemory:
    """Bytes on one device while a step runs.

    Attributes:
        parameters, ema, optimizer: the state between steps.
        frozen: modules that are used and not trained (stage 2: the encoder).
        batch: one step's input.
        gradients: as large as the parameters.
        activations: everything else that is alive at the worst moment: what the backward pass needs of the
            forward one, copies of the parameters in the networks' number format, what operations work in.
        how: where `activations` is from: "estimated from shapes", or "compiled for" a platform. A compiler
            reports gradients and activations in one.
    """

    parameters: int
    ema: int
    optimizer: int
    frozen: int
    batch: int
    gradients: int
    activations: int
    how: str

    @property
    def state(self) -> int:
        """What lies there whether a step runs or not."""
        return self.parameters + self.ema + self.optimizer + self.frozen

    @property
    def peak(self) -> int:
        return self.state + self.batch + self.gradients + self.activations

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "peak": self.peak}


def estimated(laid_out: Program, alone: Program) -> StepMemory:
    """From traces alone; nothing is compiled.

    Args:
        laid_out: the program on the mesh, abstract or not: what each device keeps.
        alone: the same for one device, with a device's share of the batch: what it works in. What other
            devices lend it for a moment (gathered parameters of a divided block) is not counted.
    """
    state = laid_out.abstract_state
    whole = sum(map(_bytes, jax.tree.leaves(alone.abstract_state.params)))
    temporaries = peak_temporaries(alone.trace().jaxpr.jaxpr, outputs=False)
    return StepMemory(
        parameters=on_device(state.params),
        ema=on_device(state.ema),
        optimizer=on_device(state.opt_state),
        frozen=on_device(laid_out.abstract_frozen),
        batch=on_device(dict(laid_out.abstract_batch)),
        gradients=on_device(state.params),
        activations=max(0, temporaries - whole),
        how="estimated from shapes",
    )


def compiled(program: Program, executable: Any, platform: str) -> StepMemory:
    """As the compiler planned it, with the state by part from the program's shapes.

    Raises:
        ValueError: this platform's compiler does not say.
    """
    analysis = executable.memory_analysis()
    if analysis is None:
        raise ValueError(f"the compiler for {platform} does not report memory")
    state = program.abstract_state
    known = StepMemory(
        parameters=on_device(state.params),
        ema=on_device(state.ema),
        optimizer=on_device(state.opt_state),
        frozen=on_device(program.abstract_frozen),
        batch=on_device(dict(program.abstract_batch)),
        gradients=0,
        activations=0,
        how=f"compiled for {platform}",
    )
    # Outputs beyond those that take the place of donated inputs, and the padding of inputs, are in the rest.
    total = (
        analysis.argument_size_in_bytes
        + analysis.temp_size_in_bytes
        + analysis.output_size_in_bytes
        - analysis.alias_size_in_bytes
    )
    rest = total - known.peak
    return StepMemory(**{**asdict(known), "activations": max(0, rest)})


def on_device(tree: Any) -> int:
    """Bytes of a tree of placed shapes on the device that has most of it."""
    return sum(_bytes(leaf, leaf.sharding.shard_shape(leaf.shape)) for leaf in jax.tree.leaves(tree))


def in_all(tree: Any) -> int:
    """Bytes of a tree of shapes, once."""
    return sum(map(_bytes, jax.tree.leaves(tree)))


def _bytes(leaf: Any, shape: tuple[int, ...] | None = None) -> int:
    # A PRNG key is two words.
    is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return math.prod(leaf.shape if shape is None else shape) * (8 if is_key else leaf.dtype.itemsize)
