"""FLOPs and parameters of a function, counted on abstract values: nothing is allocated or compiled.

Counted are matrix products and convolutions (Heek et al. 2026: linear projections and attention); a product
of m×k and k×n is 2·m·n·k. A compiler's own count would take a scanned block once, however often it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np

_UNCOUNTABLE = frozenset({"pallas_call", "ragged_dot_general", "scaled_matmul", "dot_product_attention_fwd"})
"""Primitives that multiply matrices in a way that this module does not read."""


def count_flops(fn: Callable[..., Any], *args: Any) -> int:
    """FLOPs of one call `fn(*args)`: matrix products and convolutions, all else is free.

    Padding of a convolution counts as work, the holes of a dilated (transposed) one do not. A scan counts its
    length, a condition its dearest branch, a sharded function all its devices.

    Args:
        args: pytrees; arrays and `jax.ShapeDtypeStruct`s are abstract, everything else is passed as it is.

    Raises:
        ValueError: how often a product runs cannot be known: it is in a while loop, or in a primitive that
            is not understood.
    """
    dynamic, static = eqx.partition(args, _is_array)

    def call(dynamic: Any) -> list[Any]:
        return [leaf for leaf in jax.tree.leaves(fn(*eqx.combine(dynamic, static))) if eqx.is_array(leaf)]

    return program_flops(jax.make_jaxpr(call)(dynamic).jaxpr)


def count_parameters(tree: Any) -> int:
    """Number of floating-point values in the arrays and `jax.ShapeDtypeStruct`s of a pytree."""
    leaves = (leaf for leaf in jax.tree.leaves(tree) if _is_array(leaf))
    return sum(math.prod(leaf.shape) for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact))


def _is_array(leaf: Any) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)


def program_flops(program: jex.Jaxpr) -> int:
    """The same of a trace, such as that of a jitted function. Raises ValueError as `count_flops` does."""
    return sum(_equation_flops(equation) for equation in program.eqns)


def _equation_flops(equation: jex.JaxprEqn) -> int:
    name = equation.primitive.name
    match name:
        case "dot_general":
            return _product_flops(equation)
        case "conv_general_dilated":
            return _convolution_flops(equation)
        case "cond":
            return max(program_flops(branch.jaxpr) for branch in equation.params["branches"])
        case _ if name in _UNCOUNTABLE:
            raise ValueError(f"cannot count the FLOPs of {name}")
    # Every other primitive that holds programs (jit, remat, custom derivatives, …) runs the one that
    # multiplies once. Custom derivatives are Python functions, which are not seen here.
    nested = [flops for flops in map(program_flops, _programs(equation.params.values())) if flops]
    if not nested:
        return 0
    if name == "while" or len(nested) > 1:
        raise ValueError(f"cannot know how often the matrix products inside {name} run")
    match name:
        case "scan":
            return nested[0] * int(equation.params["length"])
        case "shard_map":
            mesh = equation.params["mesh"]
            return nested[0] * math.prod(mesh.shape[axis] for axis in equation.params["newly_manual_axes"])
    return nested[0]


def _programs(params: Any) -> Iterator[jex.Jaxpr]:
    for value in params:
        if isinstance(value, jex.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, jex.Jaxpr):
            yield value
        elif isinstance(value, list | tuple):
            yield from _programs(value)


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _product_flops(equation: jex.JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = _shape(equation.invars[0])
    return 2 * math.prod(_shape(equation.outvars[0])) * math.prod(left[axis] for axis in contracted)


def _convolution_flops(equation: jex.JaxprEqn) -> int:
    params = equation.params
    numbers = params["dimension_numbers"]
    kernel = _shape(equation.invars[1])
    out = _shape(equation.outvars[0])
    # Batch, output channels, and the input channels of one group (that is what a kernel holds).
    flops = 2 * out[numbers.out_spec[0]] * out[numbers.out_spec[1]] * kernel[numbers.rhs_spec[1]]
    for axis in range(len(params["window_strides"])):
        flops *= _taps(
            positions=out[numbers.out_spec[2 + axis]],
            width=kernel[numbers.rhs_spec[2 + axis]],
            stride=params["window_strides"][axis],
            offset=params["padding"][axis][0],
            input_dilation=params["lhs_dilation"][axis],
            kernel_dilation=params["rhs_dilation"][axis],
        )
    return flops


def _taps(
    *, positions: int, width: int, stride: int, offset: int, input_dilation: int, kernel_dilation: int
) -> int:
    """Pairs of output position and kernel element, along one axis, that meet no hole of the input."""
    if input_dilation == 1:
        return positions * width
    at = stride * np.arange(positions)[:, None] + kernel_dilation * np.arange(width)[None, :] - offset
    return int(np.count_nonzero(at % input_dilation == 0))
