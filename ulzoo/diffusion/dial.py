"""The dial: moves a level until a measured rate sits on its target. One pure function, one step at a time.

The level is the break-even level λ* = b + ln(c − 1) of a sigmoid weighting: equal steps of it uncover about
equal shares of an image's information, and any level is a loss factor c above 1. What is held against zero is
e = ln(rate/target). Between the two stands a proportional-integral controller in its incremental form,

    level ← level − GAIN · [ (e − e_before) + e / settling ]

The networks need some time to follow a new level, and `settling` is to be about that time, in steps. The
integral part takes the error away, within ±LARGEST_ERROR; the proportional part sees it going and holds back
in time. In this form there is nothing to wind up: what would go beyond the level's bounds is forgotten.

The rate of a batch is noisy and is averaged first. A rate that is not finite moves nothing.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Scalar = Float[Array, ""]

GAIN = 3.0
"""ln(rate) was found to rise by a third to one for a level higher by one: the loop's gain is 1 to 3."""
LARGEST_ERROR = 1.5
"""A factor of 4.5 in the rate; beyond it the dial turns no faster, so a bad start cannot throw it."""


def running_mean(rate: Scalar, measured: Scalar, step: Int[Array, ""], averaging: float) -> Scalar:
    """Mean of the last `averaging` steps or so; of all steps while there are fewer.

    Args:
        rate: the mean before this step.
        measured: the rate of this step's batch; where it is not finite the mean stays.
        step: steps done before this one.
    """
    share = 1.0 / jnp.minimum(step + 1.0, max(averaging, 1.0))
    return jnp.where(jnp.isfinite(measured), rate + share * (measured - rate), rate)


def turned(
    level: Scalar,
    before: Scalar,
    rate: Scalar,
    target: Scalar,
    settling: float,
    within: tuple[Scalar, Scalar],
) -> Scalar:
    """The level for the next step.

    Args:
        level: of this step.
        before, rate: running means of the rate before and after this step, in the unit of `target`.
        settling: steps in which a constant error moves the level by as much as its sudden coming did.
        within: lowest and highest level.
    """
    last, now = _error(before, target), _error(rate, target)
    pulled = jnp.clip(now, -LARGEST_ERROR, LARGEST_ERROR)
    moved = level - GAIN * ((now - last) + pulled / max(settling, 1.0))
    return jnp.clip(moved, *within)


def _error(rate: Scalar, target: Scalar) -> Scalar:
    # With learned noise the estimate of a rate may be negative: below a hundredth all is one.
    return jnp.log(jnp.maximum(rate / target, 0.01))
