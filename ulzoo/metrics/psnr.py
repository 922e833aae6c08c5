"""Peak signal-to-noise ratio of reconstructions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.spec.component import SEEDS, Component, ComponentOf

if TYPE_CHECKING:
    import numpy as np

    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Evaluation, Metric, Record
    from ulzoo.metrics.collecting import Collection, Reader, Request

PEAK = 255
CAP = 100.0  # dB; JSON has no infinity, and an exact image must not outweigh all others in the mean


class PSNRConfig(Component):
    """Mean over images of the PSNR of reconstructions, uint8 against uint8, peak 255, with a bootstrap
    interval."""

    type: Literal["ulzoo.psnr.v1"] = "ulzoo.psnr.v1"
    stage: ClassVar[int] = 1

    split: Literal["train", "heldout"] = "heldout"
    """Whose images."""

    count: int | None = Field(default=1000, gt=0)
    """At most this many images, spread evenly over the split; null for all."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the latent noise, the decoder's sampler and the bootstrap."""

    sampler: Annotated[Component, ComponentOf("sampler")] | None = None
    """Sampler of the decoder; null for the one of the spec's sample section."""

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record."""
        from ulzoo.metrics.collecting import Measure, Request
        from ulzoo.metrics.sinks import Table
        from ulzoo.metrics.streams import Reconstructions

        stream = Reconstructions(self.split, self.count, self.seed, self.sampler)
        found = Request(stream, Table("squared_error", "float64"), SquaredErrors())
        return Measure((found,), partial(finish, self, found))


@dataclass(frozen=True)
class SquaredErrors:
    """The `squared_error` of a batch of reconstructions, mean over values: (n,), of clips (n, t)."""

    def open(self) -> Reader:
        def read(batch: Any) -> dict[str, Any]:
            errors = frame_squared_errors if batch.images.ndim == 5 else mean_squared_errors
            return {"squared_error": errors(batch.originals, batch.images)}

        return read

    def protocol(self) -> Mapping[str, Any]:
        return {"peak": PEAK, "cap_db": CAP}


def finish(config: PSNRConfig, found: Request, evaluation: Evaluation, collected: Collection) -> list[Record]:
    """One record, `psnr`, in dB; `extra` gives the PSNR of the mean squared error and the number of exact
    images; of clips also the mean over clips of each frame's PSNR."""
    from ulzoo.diffusion.accounting import bootstrap_interval
    from ulzoo.metrics.base import Record

    by_frame = collected[found]
    errors = by_frame.mean(1) if by_frame.ndim == 2 else by_frame
    ratios = psnr(errors)
    protocol = {
        **evaluation.protocol,
        **collected.protocols[found.stream],
        "split": config.split,
        "images": len(errors),
        "seed": config.seed,
        **SquaredErrors().protocol(),
        "interval": "95 %, bootstrap over images",
    }
    extra: dict[str, object] = {
        "psnr_of_mean_squared_error": psnr(errors.mean()),
        "exact_images": int((errors == 0).sum()),
    }
    if by_frame.ndim == 2:
        extra["by_frame"] = psnr(by_frame).mean(0)
    interval = bootstrap_interval(ratios[:, None], seed=config.seed)
    return [Record(f"stage1/{config.split}/psnr", float(ratios.mean()), "dB", protocol, interval, extra)]


def mean_squared_errors(originals: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Squared error of each image (or clip), mean over its values; uint8 (n, …) twice → float64 (n,)."""
    import numpy as np

    if originals.shape != images.shape or originals.dtype != np.uint8 or images.dtype != np.uint8:
        raise ValueError(
            "PSNR compares uint8 arrays of one shape, got "
            f"{originals.dtype} {originals.shape} and {images.dtype} {images.shape}"
        )
    # One image at a time: float64 copies of a whole split would need eight times its memory.
    pairs = zip(originals, images, strict=True)
    return np.array([np.square(one.astype(np.float64) - other).mean() for one, other in pairs])


def frame_squared_errors(clips: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each frame: uint8 (n, t, h, w, c) twice → float64 (n, t)."""
    import numpy as np

    return np.stack([mean_squared_errors(clip, other) for clip, other in zip(clips, others, strict=True)])


def psnr(errors: np.ndarray) -> np.ndarray:
    """10 log₁₀(255² / error) in dB, at most `CAP`."""
    import numpy as np

    return 10 * np.log10(PEAK**2 / np.maximum(errors, PEAK**2 * 10 ** (-CAP / 10)))
