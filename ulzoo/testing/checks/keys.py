"""What random numbers promise: they come from the key that is given, and only where one is given."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

from ulzoo.testing.case import ModuleCase
from ulzoo.testing.mismatch import require
from ulzoo.testing.trees import program_text

_DRAWING = ("random_bits", "threefry2x32", "rng_bit_generator", "rng_uniform")
_KEYS_TRIED = 64
"""Dropping one condition with probability 0.1 goes unseen in 64 keys once in a thousand times."""


def keys(case: ModuleCase) -> None:
    """Equal keys give equal results, other keys others, and without a key nothing is random."""
    if case.subject.keyed:
        _parameters(case)
    without, training = program_text(case.traced()), program_text(case.traced(training=True))
    if not case.subject.draws:
        drawn = [word for word in _DRAWING if word in without]
        require(not drawn, "nothing random without a key", f"a program with {', '.join(drawn)}")
    if not any(word in training for word in _DRAWING):
        rates = {name: value for name, value in case.config if "dropout" in name and value}
        require(not rates, f"a key to switch on {rates}", "a program without random numbers")
        return
    first, again = (case.trained(jax.random.key(1))[0] for _ in range(2))
    require(_equal(first, again), "equal results from equal keys", "different ones")
    others = (case.trained(jax.random.key(seed))[0] for seed in range(2, 2 + _KEYS_TRIED))
    changes = any(not _equal(first, other) for other in others)
    require(changes, "another result from another key", f"the same from {_KEYS_TRIED} keys")


def _parameters(case: ModuleCase) -> None:
    first, again, other = (eqx.filter(module, eqx.is_inexact_array) for module in case.built)
    if not jax.tree.leaves(first):
        return
    texts = [
        program_text(jax.make_jaxpr(lambda key: _arrays(case, key))(jax.random.key(0))) for _ in range(2)
    ]
    require(texts[0] == texts[1], "build to draw from its key alone", "another program when traced again")
    require(_equal(first, again), "equal parameters from equal keys", "different ones")
    require(not _equal(first, other), "other parameters from another key", "the same")


def _arrays(case: ModuleCase, key: Any) -> Any:
    return eqx.filter(case.build(key), eqx.is_array)


def _equal(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True) for a, b in pairs)
