"""What an assembly is made of, found out abstractly: shapes that fit, parameters and FLOPs by role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ulzoo.assemble import Assembly
from ulzoo.errors import InterfaceError, SpecError, raised_at
from ulzoo.flops import count_flops, count_parameters
from ulzoo.interfaces import AbstractConditionedDecoder, DataIO, Shape
from ulzoo.spec import Spec, problem_at


@dataclass(frozen=True)
class RoleReport:
    """One role: what it maps to what, its parameters, and the FLOPs of one forward pass for one example."""

    role: str
    input_shape: Shape
    output_shape: Shape
    parameters: int
    flops: int


def inspect(assembly: Assembly, spec: Spec | None = None) -> list[RoleReport]:
    """Build and run every role abstractly, for one example, and compare its shapes with its neighbours'.

    FLOPs count linear maps, convolutions and attention (2 per multiply-add), one network evaluation for a
    diffusion model; a training step costs about three times as much (Heek et al. 2026, §4).

    Raises:
        SpecError: with a spec; every role that does not fit, with file and line.
        InterfaceError: without a spec; the first role that does not fit.
    """
    reports, problems = [], []
    for role, check in _checks(assembly).items():
        try:
            reports.append(check())
        except (InterfaceError, TypeError, ValueError, ArithmeticError) as error:
            failure = _placed(error, role)
            if spec is None:
                raise failure from error
            problems.append(problem_at(spec, failure.path, failure.text))
            if role == "encoder":
                break  # the others are built for the encoder's shapes
    if problems:
        raise SpecError(problems)
    return reports


def _placed(error: Exception, role: str) -> InterfaceError:
    """The error with a path that starts at the role: what fails while it is built says so itself."""
    if not isinstance(error, InterfaceError):
        # A mistake in code: whose it is, only its line tells.
        return InterfaceError(f"{type(error).__name__}: {error}{raised_at(error)}", role)
    parts = error.path.split(".") if error.path else []
    return InterfaceError(error.text, ".".join(parts if parts[:1] == [role] else [role, *parts]))


def _checks(assembly: Assembly) -> dict[str, Callable[[], RoleReport]]:
    io, latent = assembly.data, assembly.latent_shape
    x, z = jax.ShapeDtypeStruct(io.shape, jnp.float32), jax.ShapeDtypeStruct(latent, jnp.float32)
    t = jax.ShapeDtypeStruct((), jnp.float32)
    raw = {"x": x} | ({} if io.num_classes is None else {"label": jax.ShapeDtypeStruct((), jnp.int32)})

    def encoder() -> RoleReport:
        module = assembly.abstract("encoder")
        moments = 2 if assembly.noise == "learned" else 1
        output = eqx.filter_eval_shape(lambda m, x: m(x), module, x)
        _same("its output", output.shape, (moments * latent[0], *latent[1:]))

        def one_frame(x: Any, z: Any) -> None:
            found = eqx.filter_eval_shape(lambda m, x: m(x), module, x).shape
            _same("its output", found, (moments * z.shape[0], *z.shape[1:]))

        _one_frame(io, latent, one_frame)
        return _report("encoder", io.shape, latent, lambda m, x: m(x), module, x)

    def prior() -> RoleReport:
        def run(module: Any, *args: Any) -> Any:
            return module.rate(*args, key=jax.random.key(0), inference=True).map

        module = assembly.abstract("prior")
        _same("its rate's map", eqx.filter_eval_shape(run, module, z, t).shape, latent[1:])
        _one_frame(io, latent, lambda _, z: eqx.filter_eval_shape(run, module, z, t))
        return _report("prior", latent, latent, run, module, z, t)

    def decoder() -> RoleReport:
        def run(module: Any, x: Any, z: Any, t: Any, raw: Any) -> Any:
            told = {"raw": raw} if isinstance(module, AbstractConditionedDecoder) else {}
            return module.distortion(x, z, t, key=jax.random.key(0), inference=True, **told)

        module = assembly.abstract("decoder")
        _same("its distortion", eqx.filter_eval_shape(run, module, x, z, t, raw).loss.shape, ())
        still = {name: value for name, value in raw.items() if name != "x"}
        _one_frame(io, latent, lambda x, z: eqx.filter_eval_shape(run, module, x, z, t, still))
        return _report("decoder", latent, io.shape, run, module, x, z, t, raw)

    def base_model() -> RoleReport:
        def run(module: Any, *args: Any) -> Any:
            return module.loss(*args, key=jax.random.key(0), inference=True)

        module = assembly.abstract("base_model")
        _same("its loss", eqx.filter_eval_shape(run, module, z, raw, t).loss.shape, ())
        still = {name: value for name, value in raw.items() if name != "x"}
        _one_frame(io, latent, lambda _, z: eqx.filter_eval_shape(run, module, z, still, t))
        return _report("base_model", latent, latent, run, module, z, raw, t)

    checks = {"encoder": encoder, "prior": prior, "decoder": decoder, "base_model": base_model}
    return {role: check for role, check in checks.items() if role in assembly.makers}


def _one_frame(io: DataIO, latent: Shape, check: Callable[[Any, Any], object]) -> None:
    """Where images come beside clips: that a module takes clips of one frame; `check` runs it on x and z.

    Raises:
        InterfaceError: it does not.
    """
    if not io.stills:
        return
    (channels, _, *sides), (width, _, *grid) = io.shape, latent
    x, z = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((channels, 1, *sides), (width, 1, *grid)))
    try:
        check(x, z)
    except (InterfaceError, TypeError, ValueError, ArithmeticError) as error:
        text = f"it takes no clip of one frame, as images beside clips are (causal: true?): {error}"
        raise InterfaceError(text.splitlines()[0]) from error


def _same(what: str, got: Shape, want: Shape) -> None:
    if tuple(got) != tuple(want):
        raise InterfaceError(f"{what} has shape {tuple(got)}, but {tuple(want)} is needed")


def _report(role: str, inputs: Shape, outputs: Shape, run: Any, module: Any, *args: Any) -> RoleReport:
    return RoleReport(role, inputs, outputs, count_parameters(module), count_flops(run, module, *args))
