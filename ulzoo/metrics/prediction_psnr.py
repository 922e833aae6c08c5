"""How well the frames that follow given ones are predicted, beside two ways that need no model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ulzoo.errors import InterfaceError
from ulzoo.spec.component import Component

if TYPE_CHECKING:
    import numpy as np

    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Evaluation, Metric, Record


class PredictionPSNRConfig(Component):
    """PSNR of predicted frames, and its gain over repeating the last given frame; also frame by frame, and
    against linear motion. Needs a base model with `ulzoo.given_frames.v1`."""

    type: Literal["ulzoo.prediction_psnr.v1"] = "ulzoo.prediction_psnr.v1"
    stage: ClassVar[int] = 2
    predicts: ClassVar[bool] = True

    split: Literal["train", "heldout"] = "heldout"
    """Whose clips."""
    count: int | None = Field(default=256, gt=0)
    """At most this many clips, spread evenly over the split; null for all."""
    given: int = Field(default=5, ge=1)
    """Frames given at the beginning of a clip."""
    horizon: int = Field(default=4, ge=1)
    """Predicted frames that the number is the mean over, from the first on."""
    seed: int = Field(default=0, ge=0)
    """Of the samples' noise and the bootstrap."""

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """Raises InterfaceError for data without so many frames."""
        if io is not None and len(io.shape) != 4:
            raise InterfaceError("the data has no frames: (channels, frames, height, width) are needed")
        if io is not None and self.given + self.horizon > io.shape[1]:
            asked = f"{self.given} + {self.horizon}"
            raise InterfaceError(f"{asked} frames are more than a clip's {io.shape[1]}", "horizon")
        return partial(measure, self)


def measure(config: PredictionPSNRConfig, evaluation: Evaluation) -> list[Record]:
    """Two records in dB, `prediction_psnr` and `prediction_gain_over_copy`: means over clips and the first
    `horizon` predicted frames; `extra` has the means of every predicted frame and of both other ways."""
    import numpy as np

    from ulzoo.diffusion.accounting import bootstrap_interval
    from ulzoo.metrics.base import Record
    from ulzoo.metrics.psnr import CAP, PEAK

    clips, predicted, how = evaluation.predictions(config.split, config.count, config.given, config.seed)
    ways = {
        "prediction": predicted[:, config.given :],
        "copy_of_last_frame": repeated(clips, config.given),
        "linear_motion": np.stack([moved_on(clip, config.given) for clip in clips]),
    }
    ratios = {name: frame_psnr(clips[:, config.given :], frames) for name, frames in ways.items()}
    protocol = {
        **evaluation.protocol,
        **how,
        "split": config.split,
        "clips": len(clips),
        "given": config.given,
        "horizon": config.horizon,
        "seed": config.seed,
        "peak": PEAK,
        "cap_db": CAP,
        "interval": "95 %, bootstrap over clips",
    }
    by_frame = {f"{name}_by_frame": ratio.mean(0) for name, ratio in ratios.items()}
    near = {name: ratio[:, : config.horizon].mean(1) for name, ratio in ratios.items()}
    gain = near["prediction"] - near["copy_of_last_frame"]

    def record(name: str, values: np.ndarray, extra: dict[str, object]) -> Record:
        interval = bootstrap_interval(values[:, None], seed=config.seed)
        where = f"stage2/{config.split}/{name}"
        return Record(where, float(values.mean()), "dB", protocol, interval, extra)

    return [
        record("prediction_psnr", near["prediction"], by_frame),
        record(
            "prediction_gain_over_copy",
            gain,
            {"gain_of_linear_motion": float((near["linear_motion"] - near["copy_of_last_frame"]).mean())},
        ),
    ]


def frame_psnr(clips: np.ndarray, others: np.ndarray) -> np.ndarray:
    """uint8 (n, t, h, w, c) twice → dB (n, t), frame by frame."""
    import numpy as np

    from ulzoo.metrics.psnr import mean_squared_errors, psnr

    pairs = zip(clips, others, strict=True)
    return psnr(np.stack([mean_squared_errors(clip, other) for clip, other in pairs]))


def repeated(clips: np.ndarray, given: int) -> np.ndarray:
    """The last given frame in place of all that follow: uint8 (n, t − given, h, w, c)."""
    return clips[:, given - 1 : given].repeat(clips.shape[1] - given, axis=1)


def moved_on(clip: np.ndarray, given: int) -> np.ndarray:
    """The last given frame, shifted on by the mean motion of the given ones: uint8 (t − given, h, w, c).

    The motion is one shift of the whole frame, found as the peak of the cross-correlation of first and last
    given frame (to a pixel, so to 1/(given − 1) pixels a frame); what moves in is the edge's.
    """
    import numpy as np
    from scipy.ndimage import shift

    grey = clip[:given].astype(np.float64).mean(-1)
    grey -= grey.mean((1, 2), keepdims=True)
    spectrum = np.fft.rfft2(grey[-1]) * np.conj(np.fft.rfft2(grey[0]))
    place = np.unravel_index(np.argmax(np.fft.irfft2(spectrum, grey.shape[1:])), grey.shape[1:])
    # Beyond half the frame the peak stands for a motion the other way.
    pixels = [at - size if at > size // 2 else at for at, size in zip(place, grey.shape[1:], strict=True)]
    pace = np.array(pixels) / max(1, given - 1)
    last = clip[given - 1].astype(np.float64)
    steps = range(1, len(clip) - given + 1)
    frames = [shift(last, (*(pace * ahead), 0), order=1, mode="nearest") for ahead in steps]
    return np.rint(np.clip(frames, 0, 255)).astype(np.uint8)
