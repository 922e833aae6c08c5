"""Given frames of a clip: what prediction, and interpolation between frames, go on from.

Given frames enter as pixels of their own, not as latents: their number need not be a multiple of the latent's
factor in time (5 frames, factor 4 in the Kinetics setting of the paper), and an encoder that sees the frames
to be predicted cannot leak them. Every frame that is not given is set to 0 before anything is computed from
it; a mask beside the pixels tells which are. Pixels and mask are folded to the latent's grid, so that what is
given stands where it belongs in time and space, and with latents that are causal in time the first frame is
folded by itself, as the encoder does. [the paper is silent on how]
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from pydantic import Field, field_validator

from ulzoo.components.layers.linear import Pointwise
from ulzoo.components.layers.space import fitting, space_to_depth
from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractGridConditioner, ConditionerIO, RawConditions, Shape
from ulzoo.spec import Component, Effect


class GivenFrames(AbstractGridConditioner):
    """Reads `raw["x"]`, the clip in [−1, 1] (c, t, h, w), and, where it is there, `raw["given"]`, bool (t,).

    Without `given`, as in training, one of the `masks` is drawn (with a key) or the first one is taken.
    Without `x` nothing is given.
    """

    linear: Pointwise
    width: int = eqx.field(static=True)
    masks: tuple[tuple[bool, ...], ...] = eqx.field(static=True)
    factors: tuple[int, ...] = eqx.field(static=True)
    data_shape: Shape = eqx.field(static=True)
    dropout: float = eqx.field(static=True)
    causal: bool = eqx.field(static=True, default=False)

    def __call__(self, raw: RawConditions, *, key: PRNGKeyArray | None = None) -> Float[Array, "d *latent"]:
        if "x" not in raw:
            return self.null()
        given = raw["given"] if "given" in raw else self._drawn(key)
        # Chosen, not multiplied: what is not given could be NaN and would still not be seen.
        frames = given[None, :, None, None]
        pixels = jnp.where(frames, raw["x"], 0.0)
        return self._folded(pixels, jnp.broadcast_to(frames, (1, *self.data_shape[1:])).astype(pixels.dtype))

    def null(self) -> Float[Array, "d *latent"]:
        return self._folded(jnp.zeros(self.data_shape), jnp.zeros((1, *self.data_shape[1:])))

    def _drawn(self, key: PRNGKeyArray | None) -> Bool[Array, "t"]:
        masks = jnp.asarray(np.array(self.masks))
        if key is None:
            return masks[0]
        k_mask, k_drop = jax.random.split(key)
        mask = masks[jax.random.randint(k_mask, (), 0, len(self.masks))]
        return mask & ~jax.random.bernoulli(k_drop, self.dropout)

    def _folded(self, pixels: Array, mask: Array) -> Array:
        # The mask is equal over a frame: one value for each frame of a patch in time is all of it.
        seen = mask[:, :, :: self.factors[1], :: self.factors[2]]
        parts = (pixels, self.factors), (seen, (self.factors[0], 1, 1))
        folded = jnp.concatenate([space_to_depth(x, by, causal=self.causal) for x, by in parts])
        return self.linear(folded.astype(self.linear.weight.dtype))


class GivenFramesConfig(Component):
    """Frames of the clip itself, for prediction and interpolation. Source: ours; the paper gives 5 of 16
    frames (Heek et al. 2026, §5)."""

    type: Literal["ulzoo.given_frames.v1"] = "ulzoo.given_frames.v1"
    example: ClassVar = {"given": [[2, 0], [1, 1]], "width": 8}
    gives_frames: ClassVar[bool] = True

    given: Annotated[tuple[tuple[int, int], ...], Effect.OBJECTIVE] = Field(default=((5, 0),), min_length=1)
    """How many frames are given at the beginning and at the end: pairs, of which training draws one for each
    clip. [5, 0] predicts from five frames, [1, 0] from the first, [1, 1] goes from the first to the last."""
    width: int = Field(default=64, ge=1)
    """Channels of the condition."""
    dropout: Annotated[float, Effect.OBJECTIVE] = Field(default=0.1, ge=0, lt=1)
    """Probability that training gives no frame: generation from nothing, and guidance, need it above 0."""

    @field_validator("given")
    @classmethod
    def _some(cls, value: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        for first, last in value:
            if first < 0 or last < 0 or first + last < 1:
                raise ValueError(f"a pair gives at least one frame, none below 0, got [{first}, {last}]")
        return value

    def build(self, io: ConditionerIO, *, key: PRNGKeyArray) -> GivenFrames:
        """Raises InterfaceError if the data has too few frames, or is no multiple of the latent."""
        data, latent = io.data_shape, io.latent_shape
        if data is None or latent is None or len(data) != 4 or len(latent) != 4:
            raise InterfaceError("the data has no frames: (channels, frames, height, width) are needed")
        frames = data[1]
        masks = []
        for i, (first, last) in enumerate(self.given):
            if first + last >= frames:
                text = f"[{first}, {last}] leaves nothing of {frames} frames to predict"
                raise InterfaceError(text, f"given.{i}")
            masks.append(tuple(n < first or n >= frames - last for n in range(frames)))
        try:
            factors, finer = fitting(data[1:], latent[1:], "", causal=io.causal)
        except InterfaceError as error:
            text = f"clips {data[1:]} are no multiple of latents {latent[1:]}"
            raise InterfaceError(text) from error
        if max(finer) > 1:
            raise InterfaceError(f"latents {latent[1:]} are finer than clips {data[1:]}")
        channels = data[0] * math.prod(factors) + factors[0]
        return GivenFrames(
            linear=Pointwise(channels, self.width, key=key),
            width=self.width,
            masks=tuple(masks),
            factors=factors,
            data_shape=data,
            dropout=self.dropout,
            causal=io.causal,
        )
