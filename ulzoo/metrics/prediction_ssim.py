"""Structural similarity of predicted frames."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ulzoo.metrics.ssim_window import WindowSide, check_window
from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    import numpy as np

    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Evaluation, Metric, Record


class PredictionSSIMConfig(Component):
    """Structural similarity of predicted frames, also frame by frame, beside copies of the last given frame,
    linear motion, an oracle's and reconstructions. Needs a base model with `ulzoo.given_frames.v1`."""

    type: Literal["ulzoo.prediction_ssim.v1"] = "ulzoo.prediction_ssim.v1"
    stage: ClassVar[int] = 2
    predicts: ClassVar[bool] = True
    example: ClassVar = {"window": 7}

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
    window: WindowSide = 11
    """Pixels of a side of the window, odd; frames must be as large. Papers take 11."""
    sigma: float = Field(default=1.5, gt=0, le=100)
    """Deviation in pixels of the Gaussian that weights the window. Papers take 1.5."""

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """Raises InterfaceError for data without so many frames, or frames smaller than the window."""
        from ulzoo.metrics.prediction_metric import check_frames

        check_frames(self, io)
        check_window(self.window, io, "frames")
        return partial(measure, self)


def measure(config: PredictionSSIMConfig, evaluation: Evaluation) -> list[Record]:
    """One record, `prediction_ssim`: mean over clips and the first `horizon` predicted frames; `extra` has
    the means of every frame, for each way of `ulzoo.metrics.prediction_metric.Scores`."""
    from ulzoo.diffusion.accounting import bootstrap_interval
    from ulzoo.metrics.base import Record
    from ulzoo.metrics.prediction_metric import scores
    from ulzoo.metrics.ssim import Similarity
    from ulzoo.metrics.structural_similarity import frame_similarity

    def score(clips: np.ndarray, others: np.ndarray) -> np.ndarray:
        return frame_similarity(clips, others, window=config.window, sigma=config.sigma)

    found = scores(config, evaluation, score, Similarity(config.window, config.sigma).protocol())
    values = found.near("prediction")
    interval = bootstrap_interval(values[:, None], seed=config.seed)
    where = f"stage2/{config.split}/prediction_ssim"
    return [Record(where, float(values.mean()), "1", found.protocol, interval, dict(found.by_frame()))]
