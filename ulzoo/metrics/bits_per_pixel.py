"""The rate of the latents: what the prior says an image's latent costs (Heek et al. 2026, §3.1)."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    from ulzoo.diffusion.accounting import Estimate
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Evaluation, Metric, Record


class BitsPerPixelConfig(Component):
    """Rate in bits per pixel, nats, bits per latent dimension and bytes per image, with a bootstrap
    interval; of clips also in bits per frame of the latent."""

    type: Literal["ulzoo.bits_per_pixel.v1"] = "ulzoo.bits_per_pixel.v1"
    stage: ClassVar[int] = 1

    split: Literal["train", "heldout"] = "heldout"
    """Whose images."""

    count: int | None = Field(default=1000, gt=0)
    """At most this many images, spread evenly over the split; null for all."""

    times: int = Field(default=16, gt=0)
    """Noise levels per image, stratified."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the noise, the times and the bootstrap."""

    draws: int = Field(default=0, ge=0, le=1000)
    """Times that each image is drawn as training does, with random crops and mirror images; 0: as it is."""

    bins: int = Field(default=20, gt=0)
    """Noise levels apart in the split of the rate by log-SNR."""

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to four records."""
        return partial(measure, self)


def measure(config: BitsPerPixelConfig, evaluation: Evaluation) -> list[Record]:
    """Four records, one number in four units: `bits_per_pixel`, `nats`, `bits_per_latent_dim`,
    `bytes_per_image`; for clips a fifth, `bits_per_latent_frame`, whose `extra` has the bits of each.

    The first one's `extra` splits it: `by_noise_level` (bits per pixel in each bin of log-SNR, and what
    belongs to no level), `by_position` (bits of each latent position, which sum to the bits of an image).

    Of images drawn as training does, the split is called `train_drawn` or `heldout_drawn`, and an image's
    rate is its mean over draws.

    Raises:
        UlzooError: a rate is not finite.
    """
    import numpy as np

    from ulzoo.diffusion.accounting import account
    from ulzoo.errors import UlzooError
    from ulzoo.metrics.base import Record

    table = evaluation.rates(config.split, config.count, config.times, config.seed, config.draws)
    prefix = f"stage{config.stage}/{config.split}{'_drawn' if config.draws else ''}"
    if not all(np.isfinite(part).all() for part in (table.nats, table.diffusion, table.log_snr, table.maps)):
        raise UlzooError(f"{prefix}/bits_per_pixel: the model gives rates that are not finite")
    rates = account(
        table.nats,
        table.diffusion,
        table.log_snr,
        table.maps,
        pixels=evaluation.pixels,
        latent_shape=evaluation.latent_shape,
        is_bound=evaluation.is_bound,
        bins=config.bins,
        seed=config.seed,
    )
    protocol = {
        **evaluation.protocol,
        "split": config.split,
        "images": rates.images,
        "times": config.times,
        **({"draws": config.draws} if config.draws else {}),
        "seed": config.seed,
        "rate": rates.label,
        "interval": "95 %, bootstrap over images",
    }
    per_nat = 1 / (math.log(2) * evaluation.pixels)
    split = {
        "by_noise_level": {
            "log_snr_edges": rates.by_noise_level.edges,
            "bits_per_pixel": rates.by_noise_level.nats * per_nat,
            "without_level": rates.by_noise_level.remainder * per_nat,
        },
        "by_position": rates.by_position,
    }
    units: list[tuple[str, str, Estimate, dict[str, object]]] = [
        ("bits_per_pixel", "bits/pixel", rates.bits_per_pixel, split),
        ("nats", "nats", rates.nats, {}),
        ("bits_per_latent_dim", "bits/dimension", rates.bits_per_latent_dim, {}),
        ("bytes_per_image", "bytes", rates.bytes_per_image, {}),
    ]
    if rates.by_position.ndim == 3:
        by_frame = {"by_frame": rates.by_position.sum((1, 2))}
        units.append(("bits_per_latent_frame", "bits/frame", rates.bits_per_latent_frame, by_frame))
    records = []
    for name, unit, estimate, extra in units:
        records.append(Record(f"{prefix}/{name}", estimate.value, unit, protocol, estimate.interval, extra))
    return records
