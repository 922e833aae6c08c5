"""What a jaxpr's loops say of themselves, which is not alike in all versions of JAX."""

from __future__ import annotations

import jax.extend.core as jex


def scan_inputs(equation: jex.JaxprEqn) -> tuple[int, int]:
    """How many inputs of a `scan` are constants, and how many carries; slices follow them."""
    params = equation.params
    if "num_consts" in params:
        return int(params["num_consts"]), int(params["num_carry"])
    # From JAX 0.12 on a scan keeps the trees of its three groups of inputs instead.
    constants, carries, _ = (len(list(group)) for group in params["ft_in"].unpack())
    return constants, carries
