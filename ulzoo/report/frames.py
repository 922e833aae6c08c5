"""What a report shows of clips alone: predictions beside the truth, quality and bits along time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from ulzoo.records import Record
from ulzoo.report.drawing import LINES, SERIES, draw, plain_numbers
from ulzoo.report.figures import Figure
from ulzoo.report.numbers import short
from ulzoo.report.pictures import clip_uri, each_of, picture_uri, words_of
from ulzoo.report.reading import RunData

WAYS = {
    "prediction": "prediction",
    "copy_of_last_frame": "copy of the last given frame",
    "linear_motion": "linear motion",
    "known_motion": "known motion (oracle)",
    "reconstruction": "true frames, reconstructed",
}
"""Ways to fill the frames after the given ones, in the order and words of the legend."""


@dataclass(frozen=True)
class Prediction:
    """A clip and how the base model went on from its given frames.

    Attributes:
        number: in the run's examples, from 0.
        words: class and PSNR, as far as they were recorded.
        player: data URI of a clip that plays, truth on the left.
        frames: data URI of its frames side by side, truth above; None if there are none.
    """

    number: int
    words: tuple[str, ...]
    player: str
    frames: str | None


def predictions(run: RunData) -> list[Prediction]:
    """A run's predictions, as far as they can be read."""
    found = []
    for number, facts in enumerate(each_of(run, "prediction_psnr")):
        path = run.examples / f"{number:03d}-prediction"
        player = clip_uri(path.with_suffix(".webp"))
        if player is not None:
            found.append(Prediction(number, words_of(facts), player, picture_uri(path.with_suffix(".png"))))
    return found


def frames_given(run: RunData) -> str:
    """Which frames of the predictions were given, in words, counted from 1; empty if that is not recorded."""
    records = [record for name, record in run.measured.items() if name.endswith("/examples/prediction_psnr")]
    given = records[0].protocol.get("given") if records else None
    if not isinstance(given, list) or not given:
        return ""
    return _in_a_row([int(frame) + 1 for frame in given])


def _in_a_row(frames: list[int]) -> str:
    """1, 2, 3, 8 → "1 to 3 and 8"."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return " and ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def quality_by_frame(run: RunData) -> list[Figure]:
    """PSNR and structural similarity of predicted frames, along time, for each way they were made."""
    found = []
    for end, title, unit in (
        ("/prediction_psnr", "PSNR of predicted frames", "dB"),
        ("/prediction_ssim", "Structural similarity of predicted frames", ""),
    ):
        for name, record in run.measured.items():
            lines = _lines(record) if name.endswith(end) and "/examples/" not in name else {}
            if lines:
                found.append(_along_time(name, title, unit, record, lines))
    return found


def _lines(record: Record) -> dict[str, np.ndarray]:
    named = {way: record.extra.get(f"{way}_by_frame") for way in WAYS}
    return {way: np.asarray(values, float) for way, values in named.items() if isinstance(values, list)}


def _along_time(name: str, title: str, unit: str, record: Record, lines: dict[str, np.ndarray]) -> Figure:
    given = int(record.protocol.get("given", 0))
    frames = given + 1 + np.arange(len(next(iter(lines.values()))))

    def paint(axes: Axes) -> None:
        for k, way in enumerate(WAYS):
            if way in lines:
                (line,) = axes.plot(frames, lines[way], color=SERIES[k], linestyle=LINES[k], label=WAYS[way])
                line.set_marker("o" if way == "prediction" else "")
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel("frame of the clip")
        axes.set_xticks(frames if len(frames) <= 16 else frames[:: len(frames) // 12])
        axes.set_ylabel(unit)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
        plain_numbers(axes)

    ends = "; ".join(
        f"{WAYS[way]}: {short(values[0])} to {short(values[-1])}" for way, values in lines.items()
    )
    caption = (
        f"{title}, mean over {record.protocol.get('clips', '?')} clips, after {given} given frames; from the"
        f" first to the last of them {ends}."
    )
    head = ("frame", *(WAYS[way] for way in lines))
    rows = [(str(f), *(f"{values[i]:.4g}" for values in lines.values())) for i, f in enumerate(frames)]
    drawing = draw(name.replace("/", "-"), (5.4, 3.9), paint, label=caption)
    return Figure(drawing, caption, (head, *rows))


def bits_by_frame(run: RunData) -> Figure | None:
    """Bits of each frame of the latent; None for latents without frames, or where they were not measured."""
    records = [r for name, r in run.measured.items() if name.endswith("/bits_per_latent_frame")]
    if not records or not isinstance(values := records[0].extra.get("by_frame"), list) or not values:
        return None
    bits = np.asarray(values, float)
    frames = np.arange(1, len(bits) + 1)

    def paint(axes: Axes) -> None:
        axes.bar(frames, bits, color=SERIES[0], width=0.7)
        axes.set_title("Bits by frame of the latent", loc="left", fontweight="bold")
        axes.set_xlabel("frame of the latent")
        axes.set_xticks(frames if len(frames) <= 16 else frames[:: len(frames) // 12])
        axes.set_ylabel("bits")
        plain_numbers(axes)

    word = records[0].protocol.get("rate", "")
    caption = (
        f"Bits of each of the {len(bits)} frames of the latent, mean over"
        f" {records[0].protocol.get('images', '?')} clips{f' ({word})' if word else ''}:"
        f" from {short(bits.min())} to {short(bits.max())}, {short(bits.sum())} in all."
    )
    rows = (
        ("frame of the latent", "bits"),
        *((str(f), f"{b:.4g}") for f, b in zip(frames, bits, strict=True)),
    )
    return Figure(draw("bits-by-frame", (5.4, 2.7), paint, label=caption), caption, rows)
