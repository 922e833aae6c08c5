"""How well the frames that follow given ones are predicted, beside ways without a model and an oracle's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    import numpy as np

    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Evaluation, Metric, Record


class PredictionPSNRConfig(Component):
    """PSNR of predicted frames, its gain over repeating the last given frame, and its gap to an oracle that
    knows the motion; also frame by frame, and beside linear motion and reconstructions. Needs a base model
    with `ulzoo.given_frames.v1`."""

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
    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the samples' noise and the bootstrap."""

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """Raises InterfaceError for data without so many frames."""
        from ulzoo.metrics.prediction_metric import check_frames

        check_frames(self, io)
        return partial(measure, self)


def measure(config: PredictionPSNRConfig, evaluation: Evaluation) -> list[Record]:
    """Three records in dB, means over clips and the first `horizon` predicted frames: `prediction_psnr`,
    `prediction_gain_over_copy` and `prediction_gap_to_oracle`. The first one's `extra` has the means of every
    frame, for each way of `ulzoo.metrics.prediction_metric.Scores`."""
    from ulzoo.diffusion.accounting import bootstrap_interval
    from ulzoo.metrics.base import Record
    from ulzoo.metrics.prediction_metric import scores
    from ulzoo.metrics.psnr import CAP, PEAK

    found = scores(config, evaluation, frame_psnr, {"peak": PEAK, "cap_db": CAP})
    predicted, copied = found.near("prediction"), found.near("copy_of_last_frame")

    def record(name: str, values: np.ndarray, extra: dict[str, object]) -> Record:
        interval = bootstrap_interval(values[:, None], seed=config.seed)
        where = f"stage2/{config.split}/{name}"
        return Record(where, float(values.mean()), "dB", found.protocol, interval, extra)

    linear = float((found.near("linear_motion") - copied).mean())
    decoded = float((found.near("reconstruction") - predicted).mean())
    return [
        record("prediction_psnr", predicted, dict(found.by_frame())),
        record("prediction_gain_over_copy", predicted - copied, {"gain_of_linear_motion": linear}),
        record(
            "prediction_gap_to_oracle",
            found.near("known_motion") - predicted,
            {"gap_to_reconstruction": decoded},
        ),
    ]


def frame_psnr(clips: np.ndarray, others: np.ndarray) -> np.ndarray:
    """uint8 (n, t, h, w, c) twice → dB (n, t), frame by frame."""
    from ulzoo.metrics.psnr import frame_squared_errors, psnr

    return psnr(frame_squared_errors(clips, others))
