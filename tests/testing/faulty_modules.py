"""Faulty components of the other kinds of module."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from faults import component

from ulzoo.interfaces import (
    AbstractBase,
    AbstractConditioner,
    AbstractDecoder,
    AbstractDenoiser,
    AbstractPrior,
    AbstractSampler,
    AbstractSchedule,
    AbstractWeighting,
    Condition,
    LossTerms,
    RateTerms,
)


class BareNetwork(AbstractDenoiser):
    weight: Any

    def __call__(self, z_t, log_snr, condition, *, key=None):
        h = z_t * self.weight.astype(z_t.dtype) + (0.1 * log_snr).astype(z_t.dtype)
        for part in (condition.vector, condition.spatial):
            if part is not None:
                h = h + part.mean().astype(z_t.dtype)
        return h


class NeedsVector(BareNetwork):
    def __call__(self, z_t, log_snr, condition, *, key=None):
        return super().__call__(z_t, log_snr, condition) + condition.vector.mean()


class IgnoresVector(BareNetwork):
    def __call__(self, z_t, log_snr, condition, *, key=None):
        return super().__call__(z_t, log_snr, Condition(None, condition.spatial))


class IgnoresSpatial(BareNetwork):
    def __call__(self, z_t, log_snr, condition, *, key=None):
        return super().__call__(z_t, log_snr, Condition(condition.vector, None))


def weight(key):
    return jax.random.normal(key, ())


component(
    "network", "conditions", "expected a network with no condition", lambda io, key: NeedsVector(weight(key))
)
component(
    "network",
    "matter",
    "expected an output that depends on the condition's vector",
    lambda io, key: IgnoresVector(weight(key)),
)
component(
    "network",
    "matter",
    "expected an output that depends on the condition's spatial array",
    lambda io, key: IgnoresSpatial(weight(key)),
)


class BarePrior(AbstractPrior):
    log_snr: float = eqx.field(static=True)
    is_bound: bool = eqx.field(static=True)
    split: bool = eqx.field(static=True, default=True)

    def rate(self, z_clean, t, *, key, inference=False):
        rate = jnp.square(z_clean).sum(0)
        level = jnp.asarray(self.log_snr, jnp.float32)
        zeros = jnp.zeros_like(rate)
        return RateTerms(rate if self.split else rate.sum(), zeros, zeros, jnp.zeros(()), level)


component(
    "prior",
    "noise_level",
    "expected log_snr to be the latent's log-SNR 5, got 4.0",
    lambda io, key: BarePrior(log_snr=4.0, is_bound=True),
)
component(
    "prior",
    "bound",
    "expected is_bound to be True or False, got 'yes'",
    lambda io, key: BarePrior(log_snr=5.0, is_bound="yes"),
)
component(
    "prior",
    "shapes",
    "expected diffusion: shape (4, 4), got ()",
    lambda io, key: BarePrior(log_snr=5.0, is_bound=True, split=False),
)


class BareDecoder(AbstractDecoder):
    shape: tuple = eqx.field(static=True)
    dtype: Any = eqx.field(static=True, default=jnp.float32)

    def distortion(self, x, z_0, t, *, key, inference=False):
        loss = jnp.square(x - z_0.mean()).sum().astype(self.dtype)
        return LossTerms(loss, loss, t)

    def decode(self, z_0, sampler, *, key):
        return jnp.full(self.shape, z_0.mean())


component(
    "decoder",
    "dtypes",
    "expected distortion.loss: float32 with float32 parameters, got bfloat16",
    lambda io, key: BareDecoder(io.data_shape, jnp.bfloat16),
)
component(
    "decoder",
    "shapes",
    "expected decode: shape (3, 8, 8), got (8, 8, 3)",
    lambda io, key: BareDecoder((8, 8, 3)),
)


class BareBase(AbstractBase):
    schedule: Any
    weight: Any

    def loss(self, z_clean, raw, t, *, key, inference=False):
        loss = jnp.square(z_clean * self.weight).sum().astype(jnp.float32)
        return LossTerms(loss, loss, t)

    def denoise(self, z_t, log_snr, raw):
        # Without a condition is what guidance needs.
        return (z_t * self.weight + raw["label"]).astype(jnp.float32)


class Falling(AbstractSchedule):
    log_snr_max: float = eqx.field(static=True)
    log_snr_min: float = eqx.field(static=True)
    bend: float = eqx.field(static=True, default=0.0)
    off: float = eqx.field(static=True, default=0.0)

    def __call__(self, t):
        t = jnp.asarray(t, jnp.float32)
        straight = self.log_snr_max + (self.log_snr_min - self.log_snr_max) * t
        return straight + self.bend * jnp.sin(np.pi * t) ** 2

    def inverse(self, log_snr):
        return (self.log_snr_max - log_snr) / (self.log_snr_max - self.log_snr_min) + self.off


component("base_model", "shapes", "got TypeError", lambda io, key: BareBase(Falling(5.0, -10.0), weight(key)))


class BareConditioner(AbstractConditioner):
    table: Any
    width: int = eqx.field(static=True)

    def __call__(self, raw, *, key=None):
        return self.table[raw["label"]]

    def null(self):
        return self.table[-1]


def table(io, key, width):
    return BareConditioner(table=jax.random.normal(key, (io.num_classes + 1, 4)), width=width)


component(
    "conditioner",
    "width",
    "expected width to be that of its output, 4, got 5",
    lambda io, key: table(io, key, 5),
)
component("conditioner", "unlabelled", "got TypeError", lambda io, key: table(io, key, 4))

component(
    "schedule",
    "ends",
    "expected log_snr_max to be the imposed 5, got 6.0",
    lambda io, key: Falling(6.0, -10.0),
)
component(
    "schedule",
    "falls",
    "expected log-SNR that falls from t = 0 to t = 1",
    lambda io, key: Falling(5.0, -10.0, bend=30.0),
)
component(
    "schedule",
    "inverse",
    "expected inverse(schedule(t)) to be t",
    lambda io, key: Falling(5.0, -10.0, off=0.1),
)


class Negative(AbstractWeighting):
    def __call__(self, log_snr):
        return jnp.asarray(log_snr, jnp.float32)


component(
    "weighting",
    "positive",
    "expected a finite weight of at least 0 at log-SNR -20, got -20.0",
    lambda io, key: Negative(),
)


class BareSampler(AbstractSampler):
    steps: int = eqx.field(static=True)
    clean_end: bool = eqx.field(static=True, default=True)

    def __call__(self, denoise, z, log_snrs, *, key, clean):
        x_hat = denoise(z, log_snrs[0]).astype(jnp.float32)
        return x_hat if clean and self.clean_end else z.astype(jnp.float32)


component(
    "sampler",
    "expectation",
    "expected the clean end to be x̂",
    lambda io, key: BareSampler(steps=2, clean_end=False),
)
component(
    "sampler",
    "steps",
    "expected steps, a whole number above 0, got 2.0",
    lambda io, key: BareSampler(steps=2.0),
)
