"""Components that each break one promise, and the check that must find it.

Each is as small as a component can be, so that a check costs next to nothing to compile.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from pydantic import Field, field_serializer

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import (
    AbstractBase,
    AbstractConditioner,
    AbstractDecoder,
    AbstractDenoiser,
    AbstractEncoder,
    AbstractPrior,
    AbstractSampler,
    AbstractSchedule,
    AbstractWeighting,
    DataIO,
    LossTerms,
    RateTerms,
)
from ulzoo.metrics.base import Record
from ulzoo.spec import Component


@dataclass(frozen=True)
class Fault:
    """A faulty class, its kind, the check that finds it, and words of the message."""

    cls: type[Component]
    kind: str
    check: str
    words: str
    example: dict = field(default_factory=dict)


FAULTS: dict[str, Fault] = {}


def fault(kind: str, check: str, words: str, **example: Any):
    def register(cls: type[Component]) -> type[Component]:
        FAULTS[cls.__name__] = Fault(cls, kind, check, words, example)
        return cls

    return register


# ---- encoders: one weight, everything else is the fault --------------------------------------------


class Scale(AbstractEncoder):
    weight: Any

    def __call__(self, x, *, key=None):
        return (x * self.weight).astype(x.dtype)


class ScaleConfig(Component):
    """Scales the data."""

    type: Literal["faulty.scale.v1"] = "faulty.scale.v1"

    def build(self, io, *, key):
        return Scale(jax.random.normal(key, ()))


def encoder(check: str, words: str, module: type, **example: Any):
    """A configuration whose module is `module(weight)`."""

    def build(self, io, *, key):
        return module(jax.random.normal(key, ()))

    config = type(module.__name__ + "Config", (ScaleConfig,), {"build": build, "__doc__": "Faulty."})
    FAULTS[module.__name__] = Fault(config, "encoder", check, words, example)
    return module


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


# ---- configurations --------------------------------------------------------------------------------


class Refusing(ScaleConfig):
    """Sound but for what is said below it."""

    def build(self, io, *, key):
        if io.moments != 1:
            raise InterfaceError("no variance")
        return Scale(jax.random.normal(key, ()))


@fault("encoder", "documented", "expected a docstring on NoDocstring, got none")
class NoDocstring(Refusing):
    pass


@fault("encoder", "documented", "expected a docstring under the field 'width', got none")
class NoDescription(Refusing):
    """A field without a word."""

    width: int = Field(default=1, gt=0)


@fault("encoder", "documented", "expected a bound on the number 'width', such as Field(gt=0), got none")
class NoBound(Refusing):
    """A number that may be anything."""

    width: int = 1
    """Channels."""


@fault("encoder", "documented", "expected replaced_by to name an installed encoder, got no encoder named")
class ReplacedByNothing(Refusing):
    """Sends its readers nowhere."""

    replaced_by: ClassVar[str | None] = "faulty.gone.v2"


@fault("encoder", "round_trip", "expected what it writes to be read again, got width:", width=3)
class WritesWords(Refusing):
    """Writes its width as a word."""

    width: int = Field(default=1, gt=0)
    """Channels."""

    @field_serializer("width")
    def _word(self, value: int) -> str:
        return f"{value} channels"


@fault("encoder", "round_trip", "after writing and reading, got", width=3)
class WritesAnother(Refusing):
    """Writes another width than it has."""

    width: int = Field(default=1, gt=0)
    """Channels."""

    @field_serializer("width")
    def _more(self, value: int) -> int:
        return value + 1


# ---- the other kinds of module ---------------------------------------------------------------------


def component(kind: str, check: str, words: str, make: Any, **more: Any):
    """A faulty component of a kind from a function of (io, key) that makes its module."""

    def build(self, io, *, key):
        return make(io, key)

    name = f"{kind.title().replace('_', '')}_{check}_{len(FAULTS)}"
    config = type(name, (ScaleConfig,), {"build": build, "__doc__": "Faulty.", **more})
    FAULTS[name] = Fault(config, kind, check, words)


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


class IgnoresCondition(BareNetwork):
    def __call__(self, z_t, log_snr, condition, *, key=None):
        return z_t * self.weight + 0.1 * log_snr


def weight(key):
    return jax.random.normal(key, ())


component(
    "network", "conditions", "expected a network with no condition", lambda io, key: NeedsVector(weight(key))
)
component(
    "network",
    "matter",
    "expected an output that depends on the condition",
    lambda io, key: IgnoresCondition(weight(key)),
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
    "expected width to be that of its vector, 4, got 5",
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


# ---- optimisers ------------------------------------------------------------------------------------


def moves(updates: Any, init: Any = lambda params: optax.EmptyState()):
    """An optimiser from a function of (gradients, state)."""
    return optax.GradientTransformation(init, lambda grads, state, params=None: updates(grads, state))


def scaled(factor: float):
    return lambda grads, state: (jax.tree.map(lambda g: factor * g, grads), state)


def unit(grads, state):
    return jax.tree.map(lambda g: -0.1 * g / jnp.sqrt(jnp.square(g).sum()), grads), state


component("optimizer", "contract", "expected an optax.GradientTransformation, got int", lambda io, key: 3)
component(
    "optimizer", "lowers", "expected 20 steps on ½‖p‖² to bring ‖p‖ below", lambda io, key: moves(scaled(0.1))
)
component(
    "optimizer", "jit", "expected finite updates of weight for gradients of zero", lambda io, key: moves(unit)
)
component(
    "optimizer",
    "dtypes",
    "expected an update like its parameter: weight: float32 (4, 3), got bfloat16 (4, 3)",
    lambda io, key: moves(
        lambda grads, state: (jax.tree.map(lambda g: -0.1 * g.astype(jnp.bfloat16), grads), state)
    ),
)
component(
    "optimizer",
    "abstract",
    "expected a state that keeps its shapes: int32 (), got float32 ()",
    lambda io, key: moves(lambda grads, state: (grads, state + 0.5), lambda params: jnp.zeros((), jnp.int32)),
)


class Memory:
    """An optimiser's step size that is in no state."""

    def __init__(self):
        self.calls = 0

    def update(self, grads, state, params=None):
        def more(g):
            self.calls += 1
            return np.asarray(-0.01 * self.calls * g, np.float32)

        shapes = jax.tree.map(lambda g: jax.ShapeDtypeStruct(g.shape, g.dtype), grads)
        updates = jax.pure_callback(lambda grads: jax.tree.map(more, grads), shapes, grads)
        return updates, state


component(
    "optimizer",
    "restored",
    "expected equal updates after saving and restoring",
    lambda io, key: optax.GradientTransformation(lambda params: optax.EmptyState(), Memory().update),
)


# ---- datasets --------------------------------------------------------------------------------------


class Records:
    """Random pictures; each fault is one argument."""

    def __init__(self, *, image=None, label=3, clock=None, noisy_draw=False, shared=False):
        self.image = np.zeros((8, 8, 1), np.uint8) if image is None else image
        self.label, self.clock, self.noisy_draw, self.shared = label, clock, noisy_draw, shared
        self.last = 0

    def __len__(self):
        return 8

    def __getitem__(self, index):
        image = self.image.copy()
        if self.shared:
            import time

            self.last = index
            time.sleep(0.002)
            image[0, 0] = self.last
        if self.clock is not None:
            self.clock.append(1)
            image[0, 0] = len(self.clock)
        return {"image": image, "index": np.int32(index), "label": np.int32(self.label)}

    def draw(self, index, rng):
        record = self[index]
        if self.noisy_draw:
            record["image"] = np.random.default_rng().integers(0, 256, record["image"].shape, dtype=np.uint8)
        return record

    skipped = ()


def dataset(check: str, words: str, io: Any = None, no_draw: bool = False, **faults: Any):
    class Data(Component):
        """Faulty."""

        type: Literal["faulty.scale.v1"] = "faulty.scale.v1"

        def io(self):
            return DataIO((1, 8, 8), 10) if io is None else io

        def open(self, split):
            source = Records(**faults)
            if no_draw:
                source = type(
                    "Source", (), {"__len__": Records.__len__, "__getitem__": lambda self, i: Records()[i]}
                )()
            return source

    FAULTS[f"Data_{check}_{len(FAULTS)}"] = Fault(Data, "dataset", check, words)


dataset("io", "expected a shape (channels, *space) of positive whole numbers, got (8,)", DataIO((8,), 10))
dataset(
    "records",
    "expected train[0]: image uint8 (8, 8, 1), channels last, got float32",
    image=np.zeros((8, 8, 1), np.float32),
)
dataset(
    "records",
    "expected train[0]: image uint8 (8, 8, 1), channels last, got uint8 (1, 8, 8)",
    image=np.zeros((1, 8, 8), np.uint8),
)
dataset("records", "expected train[0]: a label from 0 to 9, got 10", label=10)
dataset("repeatable", "expected train[0] to be the same at a second call", clock=[])
dataset("threads", "to be the same from several threads, got another one", shared=True)
dataset("draw", "expected draw(0) to be the same from equal generators", noisy_draw=True)
dataset("draw", "expected a method draw(index, rng), got none", no_draw=True)
dataset("stream", "expected equal batches from equal seeds, got different ones", noisy_draw=True)


# ---- metrics ---------------------------------------------------------------------------------------


def metric(check: str, words: str, give: Any, stage: Any = 1):
    def build(self, io, *, key):
        return give

    body = {"build": build, "__doc__": "Faulty.", "stage": stage, "__annotations__": {"stage": ClassVar[Any]}}
    config = type(f"Metric_{check}_{len(FAULTS)}", (ScaleConfig,), body)
    FAULTS[config.__name__] = Fault(config, "metric", check, words)


def record(evaluation, name="stage1/heldout/x", value=1.0, unit="1", protocol=None):
    return [Record(name, value, unit, evaluation.protocol if protocol is None else protocol)]


metric("stage", "expected a class variable stage, 1 or 2, got 3", record, stage=3)
metric("records", "expected a list of ulzoo.metrics.base.Record, at least one", lambda evaluation: 0.5)
metric("records", "expected a name stage1/<split>/<metric>, got 'x'", lambda e: record(e, name="x"))
metric("records", "expected a unit of stage1/heldout/x", lambda e: record(e, unit=""))
metric("records", "value is nan", lambda e: record(e, value=float("nan")))
metric("protocol", "got no spec_hash, training_steps", lambda e: record(e, protocol={}))
metric("repeatable", "expected the same numbers again", lambda e: record(e, value=random.random()))


# ---- trackers --------------------------------------------------------------------------------------


class Tracking:
    """Follows everything and writes nothing; each fault changes one method."""

    def __init__(self, io):
        self.io = io

    def resume(self, stage, step):
        pass

    def records(self, records):
        pass

    def pictures(self, pictures):
        pass

    def close(self):
        pass


class Deaf:
    def close(self):
        pass


class Finite(Tracking):
    def records(self, records):
        if not all(np.isfinite(record.value) for record in records):
            raise ValueError("infinite")


class Messy(Tracking):
    def records(self, records):
        (self.io.directory / "numbers.txt").write_text(str(records))


class Meddling(Tracking):
    def records(self, records):
        (self.io.directory / "metrics.jsonl").write_text("")


component(
    "tracker",
    "contract",
    "expected the methods resume, records, pictures, close, got no resume, records, pictures",
    lambda io, key: Deaf(),
)
component("tracker", "follows", "got ValueError: infinite", lambda io, key: Finite(io))
component("tracker", "own_folder", "got numbers.txt beside the run's files", lambda io, key: Messy(io))
component("tracker", "own_folder", "got another metrics.jsonl", lambda io, key: Meddling(io))
