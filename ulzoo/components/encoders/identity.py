"""No encoder: the latent is the data itself; stage 2 is diffusion in pixels (the paper's pixel baseline)."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractEncoder, EncoderIO, Shape
from ulzoo.spec import Component


class Identity(AbstractEncoder):
    def __call__(
        self, x: Float[Array, "c *space"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "c *space"]:
        return jnp.asarray(x)


class IdentityConfig(Component):
    """The latent is the data itself. Works with fixed noise only: nothing here could learn a variance."""

    type: Literal["ulzoo.identity.v1"] = "ulzoo.identity.v1"

    def latent_shape(self, data_shape: Shape) -> Shape:
        return data_shape

    def build(self, io: EncoderIO, *, key: PRNGKeyArray) -> Identity:
        """Raises InterfaceError for learned noise."""
        if io.moments != 1:
            raise InterfaceError("the identity encoder has no variance to learn; use latent.noise: fixed")
        return Identity()
