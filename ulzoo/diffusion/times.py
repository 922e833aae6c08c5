"""Times in [0, 1], stratified: the same expectation as independent uniform times, less variance.

Source: Kingma et al. 2021 (arXiv 2107.00630), appendix I.1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray


def stratified_times(key: PRNGKeyArray, n: int) -> Float[Array, "n"]:
    """(u + i)/n for i in 0…n−1 with one u ~ U(0, 1): one time in each n-th of [0, 1].

    `n` is the global batch, so that the strata span all devices. Times rise along the batch; examples
    must come in random order (a shuffled data stream), or time and example would be tied.

    For `n` times of each image, `jax.vmap` it over a key an image: images are then independent of each other,
    which a bootstrap over images rests on.
    """
    return (jax.random.uniform(key) + jnp.arange(n, dtype=jnp.float32)) / n
