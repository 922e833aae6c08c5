"""What measures of predicted frames share: the ways they are compared with, and the means over clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ulzoo.errors import InterfaceError
from ulzoo.interfaces import DataIO
from ulzoo.metrics.base import Evaluation
from ulzoo.metrics.motion import moved_as_seen, moved_on, repeated

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""uint8 (n, t, h, w, c) twice → (n, t)."""


@dataclass(frozen=True)
class Scores:
    """Scores of the frames after the given ones, each (n, t − given), by the way they were made.

    Attributes:
        by_way: `prediction`; `copy_of_last_frame` and `linear_motion`, which need no model; `known_motion`,
            the last given frame moved as an oracle would; `reconstruction`, the true frames as encoder and
            decoder give them back.
        protocol: of all of them.
        horizon: frames that count for the number.
    """

    by_way: Mapping[str, np.ndarray]
    protocol: Mapping[str, Any]
    horizon: int

    def near(self, way: str) -> np.ndarray:
        """(n,) mean over the first frames after the given ones."""
        return self.by_way[way][:, : self.horizon].mean(1)

    def by_frame(self) -> dict[str, np.ndarray]:
        """Means over clips, for each way and frame."""
        return {f"{way}_by_frame": scores.mean(0) for way, scores in self.by_way.items()}


def scores(config: Any, evaluation: Evaluation, score: Score, how: Mapping[str, Any]) -> Scores:
    """Every way's scores.

    Args:
        config: with split, count, given, horizon and seed.
        how: of the score, for the protocol.
    """
    given = config.given
    clips, predicted, sampling = evaluation.predictions(config.split, config.count, given, config.seed)
    _, decoded, _ = evaluation.reconstructions(config.split, config.count, config.seed, None)
    ways = {
        "prediction": predicted[:, given:],
        "copy_of_last_frame": repeated(clips, given),
        "linear_motion": np.stack([moved_on(clip, given) for clip in clips]),
        "known_motion": np.stack([moved_as_seen(clip, given) for clip in clips]),
        "reconstruction": decoded[:, given:],
    }
    protocol = {
        **evaluation.protocol,
        **sampling,
        "split": config.split,
        "clips": len(clips),
        "given": given,
        "horizon": config.horizon,
        "seed": config.seed,
        **how,
        "interval": "95 %, bootstrap over clips",
    }
    return Scores(
        {way: score(clips[:, given:], made) for way, made in ways.items()}, protocol, config.horizon
    )


def check_frames(config: Any, io: DataIO | None) -> None:
    """Raises InterfaceError for data without so many frames."""
    if io is not None and len(io.shape) != 4:
        raise InterfaceError("the data has no frames: (channels, frames, height, width) are needed")
    if io is not None and config.given + config.horizon > io.shape[1]:
        asked = f"{config.given} + {config.horizon}"
        raise InterfaceError(f"{asked} frames are more than a clip's {io.shape[1]}", "horizon")
