"""Adam with decoupled weight decay (Loshchilov & Hutter 1711.05101)."""

from __future__ import annotations

from typing import Literal

import optax
from jaxtyping import PRNGKeyArray
from pydantic import Field

from ulzoo.components.optimizers.schedule import Decay, clipped, decays, learning_rate_schedule
from ulzoo.interfaces import OptimizerIO
from ulzoo.spec import Component


class AdamWConfig(Component):
    """Adam with decoupled weight decay on weight matrices and kernels only. Source: 1711.05101."""

    type: Literal["ulzoo.adamw.v1"] = "ulzoo.adamw.v1"
    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak learning rate."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decay per unit of learning rate, of arrays that a module calls `weight` and that are matrices or
    kernels; biases, scales of norms, positions and tables of embeddings do not decay."""
    warmup_steps: int = Field(default=0, ge=0)
    """Optimiser steps of linear warm-up."""
    decay: Decay = "constant"
    """Course of the learning rate after the warm-up, until the stage's last step."""
    final_fraction: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the peak that is left at the last step (cosine and linear)."""
    clip_norm: float | None = Field(default=1.0, gt=0)
    """Largest global gradient norm; null turns clipping off."""
    b1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the first moment."""
    b2: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the second moment."""
    eps: float = Field(default=1e-8, gt=0)
    """Added to the root of the second moment."""

    def build(self, io: OptimizerIO, *, key: PRNGKeyArray | None = None) -> optax.GradientTransformation:
        rate = learning_rate_schedule(
            self.learning_rate, self.warmup_steps, self.decay, self.final_fraction, io.steps
        )
        adamw = optax.adamw(
            rate, b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay, mask=decays
        )
        return clipped(adamw, self.clip_norm)
