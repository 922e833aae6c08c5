"""Spec or modules → an `Assembly`: everything the programs need, checked down to shapes before any FLOP.

The YAML route and the Python route meet here. Each role is a component's configuration (built for the
shapes that data and encoder give) or a ready Equinox module (taken as it is).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PRNGKeyArray

from ulzoo.autoencoder import Autoencoder, Noise
from ulzoo.diffusion.random_level import RandomLevel
from ulzoo.errors import InterfaceError, SpecError, inside
from ulzoo.interfaces import (
    AbstractBase,
    AbstractConditionedDecoder,
    AbstractDecoder,
    AbstractEncoder,
    AbstractPrior,
    AbstractSteeredWeighting,
    BaseIO,
    DataIO,
    DecoderIO,
    EncoderIO,
    PriorIO,
    Shape,
)
from ulzoo.spec import Component, Spec, problem_at

AUTOENCODER = ("encoder", "prior", "decoder")


@dataclass(frozen=True)
class Assembly:
    """Modules waiting for a key.

    Attributes:
        data: shape of one example and number of classes.
        latent_shape: (c, *space) of z_clean.
        log_snr: λ_z(0), the one minimum noise.
        noise: whose noise z_0 carries: "fixed", "learned" or "random".
        makers: role → (key → module).
    """

    data: DataIO
    latent_shape: Shape
    log_snr: float
    noise: Noise
    makers: Mapping[str, Callable[[PRNGKeyArray], Any]]
    level: RandomLevel | None = None
    """Of random noise."""

    @property
    def still_latent_shape(self) -> Shape:
        """Of images that training has beside clips. Raises InterfaceError if it has none."""
        if not self.data.stills:
            raise InterfaceError("it is trained on clips alone, without images (ulzoo.with_images.v1)")
        return (self.latent_shape[0], 1, *self.latent_shape[2:])

    def autoencoder(self, key: PRNGKeyArray) -> Autoencoder:
        """Stage 1's modules; equal keys give equal parameters, however each role was given."""
        keys = dict(zip(AUTOENCODER, jax.random.split(key, 3), strict=True))
        return Autoencoder(
            **{role: self.makers[role](keys[role]) for role in AUTOENCODER},
            log_snr=self.log_snr,
            noise=self.noise,
            level=self.level,
        )

    def base_model(self, key: PRNGKeyArray) -> AbstractBase:
        """Stage 2's module. Raises InterfaceError if the assembly has none."""
        if "base_model" not in self.makers:
            raise InterfaceError("this role is missing: give a configuration or a module", "base_model")
        return self.makers["base_model"](key)

    def abstract(self, role: str) -> Any:
        """A role's module with shapes in place of arrays; allocates nothing."""
        return eqx.filter_eval_shape(self.makers[role], jax.random.key(0))


def assemble(
    spec: Spec | None = None,
    *,
    data: Component | DataIO | None = None,
    encoder: Component | AbstractEncoder | None = None,
    prior: Component | AbstractPrior | None = None,
    decoder: Component | AbstractDecoder | None = None,
    base_model: Component | AbstractBase | None = None,
    log_snr: float | None = None,
    noise: Noise | None = None,
    level: tuple[float, float] | None = None,
) -> Assembly:
    """Fit the roles together; `inspect` checks their shapes against each other.

    Args:
        spec: gives every role that is not given by itself.
        data: a dataset's configuration, or the shape of its examples.
        encoder, prior, decoder, base_model: configurations or modules; they replace the spec's.
        log_snr: λ_z(0), the one minimum noise; 5 without a spec.
        noise: "fixed", "learned" or "random"; fixed without a spec.
        level: location and scale of random noise.

    Raises:
        SpecError: with a spec, naming file, line and field of each role that does not fit.
        InterfaceError: the same without a spec, or if a role is missing.
    """
    if spec is not None:
        data = spec.data if data is None else data
        encoder = spec.encoder if encoder is None else encoder
        prior = spec.prior if prior is None else prior
        decoder = spec.decoder if decoder is None else decoder
        base_model = spec.base_model if base_model is None else base_model
        log_snr = spec.latent.log_snr if log_snr is None else log_snr
        noise = spec.latent.noise if noise is None else noise
        if level is None and noise == "random" and (spread := spec.latent.level) is not None:
            level = spread.location, spread.scale
    log_snr, noise = 5.0 if log_snr is None else log_snr, noise or "fixed"
    if (noise == "random") != (level is not None):
        raise InterfaceError(
            f"level belongs to random noise, which needs one; noise {noise!r}, level {level}"
        )
    if level is not None and not level[1] > 0:
        raise InterfaceError(f"the scale of random noise must be positive, got {level[1]:g}", "level")
    random = None if level is None else RandomLevel(*level, log_snr)
    for role, given in (("data", data), ("encoder", encoder), ("prior", prior), ("decoder", decoder)):
        if given is None:
            raise InterfaceError("this role is missing: give a configuration or a module", role)
    try:
        return _assemble(data, encoder, prior, decoder, base_model, log_snr, noise, random)
    except InterfaceError as error:
        if spec is None:
            raise
        raise SpecError([problem_at(spec, error.path, error.text)]) from error


def _assemble(
    data: Any,
    encoder: Any,
    prior: Any,
    decoder: Any,
    base_model: Any,
    log_snr: float,
    noise: Noise,
    level: RandomLevel | None,
) -> Assembly:
    io = data if isinstance(data, DataIO) else data.io()
    encoder_io = EncoderIO(io.shape, 2 if noise == "learned" else 1)
    latent_shape = _latent_shape(encoder, encoder_io)
    # Configuration or module: an encoder that is causal in time says so.
    causal = bool(getattr(encoder, "causal", False))
    ios = {
        "encoder": (encoder, encoder_io),
        "prior": (prior, PriorIO(latent_shape, log_snr)),
        "decoder": (
            decoder,
            DecoderIO(io.shape, latent_shape, log_snr, io.num_classes, causal, noise == "random"),
        ),
    }
    if base_model is not None:
        ios["base_model"] = (base_model, BaseIO(latent_shape, log_snr, io.num_classes, io.shape, causal))
    makers = {name: _maker(role, role_io, name) for name, (role, role_io) in ios.items()}
    for name in ("prior", "base_model"):
        if name in makers:
            makers[name] = _held_to(makers[name], name, log_snr, noise)
    if level is not None:
        makers["decoder"] = _told_the_level(makers["decoder"])
    return Assembly(io, latent_shape, log_snr, noise, makers, level)


def _maker(role: Any, io: Any, path: str) -> Callable[[PRNGKeyArray], Any]:
    if not isinstance(role, Component):
        return lambda key: role

    def make(key: PRNGKeyArray) -> Any:
        with inside(path):
            return role.build(io, key=key)

    return make


def _held_to(
    make: Callable[[PRNGKeyArray], Any], path: str, log_snr: float, noise: Noise
) -> Callable[[PRNGKeyArray], Any]:
    """`make`, refusing modules that would break the accounting, as ready ones or a plugin's might."""

    def checked(key: PRNGKeyArray) -> Any:
        module = make(key)
        schedule = getattr(module, "schedule", None)
        for end in (getattr(schedule, "log_snr_max", None), getattr(module, "log_snr", None)):
            if end is not None and end != log_snr:
                raise InterfaceError(
                    f"it ends at log-SNR {end:g}, but the latent's is {log_snr:g}: they are one number", path
                )
        if path == "prior" and noise == "learned" and not module.is_bound:
            raise InterfaceError(
                "learned noise needs a prior that trains the whole rate: this one discounts or detaches it, "
                "and the encoder would be paid for noise without end",
                path,
            )
        if path == "prior" and noise == "random" and schedule is None:
            raise InterfaceError(
                f"random noise needs a prior with a noise schedule, which is charged by level; "
                f"{type(module).__name__} has none",
                path,
            )
        return module

    return checked


def _told_the_level(make: Callable[[PRNGKeyArray], Any]) -> Callable[[PRNGKeyArray], Any]:
    """`make`, refusing decoders that are not told how noisy their latent is."""

    def checked(key: PRNGKeyArray) -> Any:
        module = make(key)
        parts = (module, *getattr(module, "conditioners", ()))
        told = any(getattr(part, "tells_level", False) for part in parts)
        if not (told and isinstance(module, AbstractConditionedDecoder)):
            raise InterfaceError(
                "random noise needs a decoder that is told its level: one of its conditioners must tell it, "
                "such as {type: ulzoo.latent_level.v1}",
                "decoder.conditioners",
            )
        if isinstance(getattr(module, "weighting", None), AbstractSteeredWeighting):
            raise InterfaceError(
                "a rate target is for latents of one noise level: of random noise training measures the mean "
                "over levels, and what is decoded holds more",
                "decoder.weighting",
            )
        return module

    return checked


def _latent_shape(encoder: Any, io: EncoderIO) -> Shape:
    with inside("encoder"):
        if hasattr(encoder, "latent_shape"):
            return tuple(encoder.latent_shape(io.data_shape))
        if isinstance(encoder, Component):
            encoder = eqx.filter_eval_shape(lambda key: encoder.build(io, key=key), jax.random.key(0))
        x = jax.ShapeDtypeStruct(io.data_shape, "float32")
        output = eqx.filter_eval_shape(lambda module, x: module(x), encoder, x)
        return (output.shape[0] // io.moments, *output.shape[1:])
