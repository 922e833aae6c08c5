"""Encoders that each break one promise of every module: one weight, all else is the fault."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from faults import Scale, ScaleConfig, encoder, fault
from pydantic import Field


class NotAnEncoder(eqx.Module):
    weight: Any

    def __call__(self, x, *, key=None):
        return x * self.weight


encoder("contract", "expected an ulzoo.interfaces.AbstractEncoder, got NotAnEncoder", NotAnEncoder)


@fault(
    "encoder",
    "contract",
    "expected its arrays to be JAX arrays: no others are trained, placed and saved, got weight of NumPy's",
)
class NumpyWeight(ScaleConfig):
    """Its weight is no JAX array, so no checkpoint would hold it."""

    def build(self, io, *, key):
        return Scale(np.ones(()))


class Flat(Scale):
    def __call__(self, x, *, key=None):
        return (x * self.weight).reshape(-1)


encoder("shapes", "expected (channels, *space) with 3 axes, got (768,)", Flat)


@fault("encoder", "shapes", "expected shape (3, 8, 8), got (3, 16, 16)")
class WrongPromise(ScaleConfig):
    """Promises half the resolution."""

    def latent_shape(self, data_shape):
        return (3, 8, 8)


class Branching(Scale):
    def __call__(self, x, *, key=None):
        return x if x.sum() > 0 else -x


encoder("jit", "got TracerBoolConversionError", Branching)


class Coin(Scale):
    def __call__(self, x, *, key=None):
        return x * random.random() * self.weight


encoder("jit", "expected the same program each time it is traced", Coin)


class NotFinite(Scale):
    def __call__(self, x, *, key=None):
        return jnp.log(x - 100.0) * self.weight


encoder("jit", "expected finite values, got nan in 768 of 768 values", NotFinite)


class Counting(Scale):
    """Larger each time that it is traced."""

    traces: ClassVar[list[int]] = []

    def __call__(self, x, *, key=None):
        self.traces.append(1)
        return jnp.concatenate([x * self.weight] * len(self.traces))


encoder("abstract", "expected the output that it has when traced: float32 (", Counting)


class Callback(Scale):
    """Looks at the whole batch behind vmap's back."""

    def __call__(self, x, *, key=None):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        mean = jax.pure_callback(lambda a: np.asarray(a - a.mean()), shape, x, vmap_method="expand_dims")
        return mean * self.weight


encoder("vmap", "expected example 0 of a batch to give what it gives alone", Callback)


class RootOfZero(Scale):
    def __call__(self, x, *, key=None):
        return jnp.sqrt(jnp.square(x - x)) * self.weight


encoder("gradients", "expected a finite gradient of", RootOfZero)


@fault("encoder", "keys", "expected other parameters from another key, got the same")
class IgnoresKey(ScaleConfig):
    """Every seed gives the same parameters."""

    def build(self, io, *, key):
        return Scale(jax.random.normal(jax.random.key(0), ()))


@fault("encoder", "keys", "expected build to draw from its key alone")
class OwnGenerator(ScaleConfig):
    """Draws from a generator of its own."""

    def build(self, io, *, key):
        return Scale(jax.random.normal(key, ()) * random.random())


class AlwaysNoisy(Scale):
    def __call__(self, x, *, key=None):
        return x * self.weight + jax.random.normal(jax.random.key(0), x.shape)


encoder("keys", "expected nothing random without a key", AlwaysNoisy)


class FixedDropout(Scale):
    def __call__(self, x, *, key=None):
        if key is None:
            return x * self.weight
        return x * self.weight * jax.random.bernoulli(jax.random.key(0), 0.5, x.shape)


encoder("keys", "expected another result from another key", FixedDropout)


@fault("encoder", "keys", "expected a key to switch on {'dropout': 0.5}, got a program without", dropout=0.5)
class IgnoredDropout(ScaleConfig):
    """Reads a rate and ignores it."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout rate."""


class Wide(Scale):
    def __call__(self, x, *, key=None):
        return x.astype(jnp.float32) * self.weight.astype(jnp.float32)


encoder("dtypes", "expected bfloat16 with bfloat16 parameters, got float32", Wide)


class Drawn:
    """A number that is in no array, so in no checkpoint."""

    def __init__(self):
        self.number = random.random()


class Hidden(Scale):
    table: Any = None

    def __call__(self, x, *, key=None):
        return x * self.weight * self.table.number


@fault("encoder", "restored", "expected equal outputs after saving and restoring")
class HiddenState(ScaleConfig):
    """Computes with numbers that no checkpoint holds."""

    def build(self, io, *, key):
        return Hidden(jax.random.normal(key, ()), table=Drawn())


class AlwaysOneMoment(Scale):
    pass


encoder(
    "moments",
    "expected shape (6, 16, 16) for moments 2 (InterfaceError if it has no variance)",
    AlwaysOneMoment,
)
