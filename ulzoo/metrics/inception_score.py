"""Inception score: Salimans et al. 1606.03498."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from ulzoo.metrics.inception_features import InceptionFeatures, write_random_inception
from ulzoo.spec.component import SEEDS, Component

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Evaluation, Metric, Record
    from ulzoo.metrics.collecting import Collection, Request


class InceptionScoreConfig(Component):
    """How sure the Inception network is of each sample's class, and how many classes it sees: from 1 up,
    without regard to the data."""

    type: Literal["ulzoo.inception_score.v1"] = "ulzoo.inception_score.v1"
    stage: ClassVar[int] = 2
    example: ClassVar = {"features": {"weights": "inception.pth"}, "count": 24, "splits": 4}

    features: InceptionFeatures
    """The network, its weights, and how images are resized for it."""

    count: int = Field(default=50_000, ge=2)
    """Samples."""

    seed: int = Field(default=0, ge=0, lt=SEEDS)
    """Of the samples."""

    splits: int = Field(default=10, ge=1, le=1000)
    """Parts of the samples, in order, that the score is the mean over; no more than samples."""

    @classmethod
    def example_files(cls, folder: Path) -> Mapping[str, Any]:
        """A small network with random weights."""
        return {"features": {"weights": write_random_inception(folder)}}

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record.

        Raises:
            InterfaceError: data that are no images, a file that does not hold the network, or more parts than
                samples.
        """
        from ulzoo.errors import InterfaceError
        from ulzoo.metrics.collecting import Measure, Request
        from ulzoo.metrics.sinks import ClassScores
        from ulzoo.metrics.streams import Samples

        self.features.check(io)
        if self.splits > self.count:
            raise InterfaceError(f"{self.splits} parts of {self.count} samples", "splits")
        samples = Samples(self.count, self.seed)
        request = Request(samples, ClassScores("logits", self.splits), self.features)
        return Measure((request,), partial(_finish, self, request))


def _finish(
    config: InceptionScoreConfig, request: Request, evaluation: Evaluation, collected: Collection
) -> list[Record]:
    """One record, `inception_score`; `extra` has the standard deviation over the parts, as papers give it."""
    from scipy.stats import t

    from ulzoo.metrics.base import Record

    scores = collected[request]
    value, parts = float(scores.mean()), len(scores)
    interval = None
    if parts > 1:
        half = float(t.ppf(0.975, parts - 1) * scores.std(ddof=1) / parts**0.5)
        interval = (value - half, value + half)
    protocol = {
        **evaluation.protocol,
        **collected.protocols[request.stream],
        "seed": config.seed,
        "images": config.count,
        "features": {**config.features.protocol(), "logits": "1008, without bias"},
        "splits": parts,
        "interval": "95 %, Student's t over the parts" if interval else "none",
    }
    extra = {"deviation_of_parts": float(scores.std())}
    return [Record("stage2/train/inception_score", value, "1", protocol, interval, extra)]
