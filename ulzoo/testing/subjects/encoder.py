"""Encoders."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import AbstractEncoder, EncoderIO
from ulzoo.testing.case import ModuleCase, Subject
from ulzoo.testing.mismatch import require
from ulzoo.testing.subjects.shapes import COMPUTE, DATA, array


def _promised(config: Any, io: EncoderIO, output: Any) -> Any:
    shape = tuple(output.shape)
    require(len(shape) == len(io.data_shape), f"(channels, *space) with {len(io.data_shape)} axes", shape)
    if hasattr(config, "latent_shape"):
        channels, *space = config.latent_shape(io.data_shape)
        shape = (io.moments * channels, *space)
    return array(*shape, dtype=COMPUTE)


SUBJECT = Subject(
    contract=AbstractEncoder,
    io=EncoderIO(DATA),
    inputs=lambda config, io: (array(*io.data_shape),),
    run=lambda module, inputs, key, training: module(*inputs, key=key if training else None),
    promised=_promised,
    narrow=(0,),
)


def moments(case: ModuleCase) -> None:
    """Asked for a variance too, it gives twice the channels, or refuses with an InterfaceError."""

    def output(moments: int) -> tuple[int, ...]:
        module = case.abstract_build(EncoderIO(case.io.data_shape, moments))
        x = jax.ShapeDtypeStruct(case.io.data_shape, "float32")
        return tuple(eqx.filter_eval_shape(lambda module, x: module(x), module, x).shape)

    one = output(1)
    try:
        two = output(2)
    except InterfaceError:
        return
    want = (2 * one[0], *one[1:])
    require(two == want, f"shape {want} for moments 2 (InterfaceError if it has no variance)", two)
