"""Rules about sizes, averaging and batches."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ulzoo.rules.rule import Facts, Finding

FEWEST_LATENT_VALUES = 0.05
"""Per pixel: between the paper's 8 and 16 channels at 16× down (0.031 and 0.0625; rFID 1.53 and 0.54)."""

DEVICES = 8
"""Devices of a usual machine."""


def channels(facts: Facts) -> Iterator[Finding]:
    """Few channels in the latent.

    The latent has too few values to carry what pays. At 512×512, 16× down, the paper measures rFID 7.19 with
    4 channels, 1.53 with 8, 0.54 with 16, 0.42 with 32: less than about 0.05 values per pixel hurt. More cost
    little, since unused ones carry no bits.

    Do: raise the encoder's channels of the latent, or down-sample less.

    Source: Heek et al. 2026, table of latent channels.
    """
    share = math.prod(facts.latent_shape) / math.prod(facts.data_shape[1:])
    if share < FEWEST_LATENT_VALUES:
        shape = "×".join(map(str, facts.latent_shape))
        named = "latent_channels" in type(facts.spec.encoder).model_fields
        path = "encoder.latent_channels" if named else "encoder"
        yield Finding(
            path, f"a latent of {shape} has {share:.2g} values per pixel; give {FEWEST_LATENT_VALUES} or more"
        )


def base_size(facts: Facts) -> Iterator[Finding]:
    """Base model smaller than the prior.

    Stage 2 exists because samples of the prior itself are not good enough: the base model is the larger one
    (the prior as sampler never came below FID 2).

    Do: make `base_model.network` larger than `prior.network`.

    Source: Heek et al. 2026, §3.3 and appendix B.
    """
    base, prior = facts.parameters.get("base_model"), facts.parameters["prior"]
    if base is not None and base < prior:
        text = f"{base:,} parameters, fewer than the prior's {prior:,}; make it the larger one"
        yield Finding("base_model.network", text)


def averaging(facts: Facts) -> Iterator[Finding]:
    """Averaging of the weights turned off.

    Evaluation, sampling and stage 2 use averaged weights. Without averaging they use those of the last step,
    with its noise, and numbers of two runs differ by chance.

    Do: give `ema` 0.99 for a thousand steps, 0.9999 for a hundred thousand.

    Source: practice (SiD2: 0.9999).
    """
    for name, stage in (("stage1", facts.spec.stage1), ("stage2", facts.spec.stage2)):
        if stage is not None and stage.ema == 0:
            yield Finding(f"{name}.ema", "weights are not averaged; 0.99 suits a thousand steps, 0.9999 many")


def batches(facts: Facts) -> Iterator[Finding]:
    """Batch that a machine of eight devices cannot divide.

    The mesh takes all devices that there are, and a batch must be a multiple of their number. One that is no
    multiple of 8 trains here and is refused on a usual machine with accelerators.

    Do: choose a multiple of 8, or say how many devices there are in `parallel.mesh`.
    """
    if -1 not in facts.spec.parallel.mesh.values():
        return
    for name, stage in (("stage1", facts.spec.stage1), ("stage2", facts.spec.stage2)):
        if stage is not None and stage.batch_size % DEVICES:
            text = f"{stage.batch_size} is no multiple of {DEVICES}, a usual machine's number of devices"
            yield Finding(f"{name}.batch_size", text)
