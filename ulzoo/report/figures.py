"""The figures of a report: curves of training, rate by noise level, bits by position. One or several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from ulzoo.records import Record
from ulzoo.report.drawing import LINES, SERIES, TEXT, WASH, draw, plain_numbers
from ulzoo.report.knobs import Knobs, knobs_of
from ulzoo.report.numbers import short
from ulzoo.report.reading import Points, RunData

_PANEL = (4.2, 2.7)
_LOG_ABOVE = 30.0
"""Ratio of largest to smallest value from which a curve is drawn on a logarithmic axis."""

_Titles = dict[str, tuple[tuple[str, str], ...]]

CURVES: _Titles = {
    "stage1": (
        ("loss", "Loss"),
        ("bits_per_pixel", "Rate"),
        ("distortion", "Weighted distortion"),
        ("rate_error", "Rate against its target, less 1"),
    ),
    "stage2": (("loss", "Loss"), ("squared_error", "Squared error"), ("gradient_norm", "Gradient norm")),
}
"""Training records that are always in view, with their titles."""

MORE_CURVES: _Titles = {
    "stage1": (
        ("squared_error", "Squared error"),
        ("gradient_norm", "Gradient norm"),
        ("loss_factor", "Loss factor, as steered"),
        ("bias", "Bias, as steered"),
    ),
    "stage2": (),
}
"""Those that are folded away."""


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Attributes:
        svg: the drawing.
        caption: what it shows, plain text.
        rows: its numbers as a table: headings first; empty where the drawing alone is shown.
    """

    svg: Markup
    caption: str
    rows: tuple[tuple[str, ...], ...] = ()


def curves(
    runs: Sequence[RunData], stage: str, names: Sequence[str] = ("",), *, which: _Titles = CURVES
) -> list[Figure]:
    """One figure for each training number of a stage that at least one run has.

    Args:
        names: of the runs, for the legend.
    """
    found = []
    for name, title in which[stage]:
        full = f"{stage}/train/{name}"
        series = [(k, words, run.curve(full)) for k, (run, words) in enumerate(zip(runs, names, strict=True))]
        series = [(k, words, points) for k, words, points in series if points]
        if series:
            held = [_held_out(run, stage, name) for run in runs]
            found.append(_curve(full, title, _unit(runs, full), series, held, _warm_up(runs)))
    return found


def _curve(
    full: str,
    title: str,
    unit: str,
    series: list[tuple[int, str, Points]],
    held: list[float | None],
    warm_up: int,
) -> Figure:
    several = len(held) > 1
    warm_up = warm_up if full.startswith("stage1") else 0

    def paint(axes: Axes) -> None:
        for k, words, points in series:
            steps, values = zip(*points, strict=True)
            marker = "o" if len(points) == 1 else ""
            axes.plot(steps, values, color=SERIES[k], linestyle=LINES[k], marker=marker, label=words or None)
            value = held[k]
            if value is not None:
                label = None if several else f"held out, EMA: {short(value)}"
                axes.axhline(value, color=SERIES[k], linestyle=":", linewidth=1.1, label=label)
        if warm_up:
            axes.axvspan(0, warm_up, color=WASH, linewidth=0, label=None if several else "rate warm-up")
        everything = np.array([value for _, _, points in series for _, value in points])
        if (everything > 0).all() and everything.max() > _LOG_ABOVE * everything.min():
            axes.set_yscale("log")
        plain_numbers(axes)
        axes.set_xlim(0, max(points[-1][0] for _, _, points in series) * 1.01)
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_ylabel(unit)
        axes.set_xlabel("step")
        if axes.get_legend_handles_labels()[1]:
            axes.legend()

    ends = []
    for _, words, points in series:
        (first, begin), (last, end) = points[0], points[-1]
        of = f"{words}: " if words else ""
        one = f"{of}{short(begin)} at step {first}"
        ends.append(one if first == last else f"{one}, {short(end)} at step {last}")
    caption = f"{title}, {unit}. {'; '.join(ends)}."
    return Figure(draw(full.replace("/", "-"), _PANEL, paint, label=caption), caption)


def rate_by_level(runs: Sequence[RunData], names: Sequence[str] = ("",)) -> Figure | None:
    """Bits per pixel by the latent's noise level, above the distortion's weight; None without a split."""
    series = [(k, words, run) for k, (run, words) in enumerate(zip(runs, names, strict=True))]
    split = [(k, words, run.split_of_rate()) for k, words, run in series]
    shown = [(k, words, record) for k, words, record in split if record is not None]
    if not shown:
        return None
    knobs = [knobs_of(run) for run in runs]
    marked = [(k, one.break_even) for k, one in enumerate(knobs) if one.break_even is not None]
    weighted = [k for k, one in enumerate(knobs) if one.bias is not None]

    def paint(rates: Axes, weights: Axes | None = None) -> None:
        for k, words, record in shown:
            edges, bits = levels_of(record)
            rates.stairs(bits, edges, color=SERIES[k], linestyle=LINES[k], label=words or None, linewidth=1.5)
            if len(runs) == 1:
                rates.stairs(bits, edges, color=SERIES[k], fill=True, alpha=0.25)
        for axes in filter(None, (rates, weights)):
            for k, level in marked:
                axes.axvline(level, color=SERIES[k], linestyle="--", linewidth=1.1)
                if axes is rates and len(runs) == 1:
                    place = axes.get_xaxis_transform()
                    axes.text(level, 0.9, " λ*", transform=place, ha="left")
        rates.set_ylabel("bits/pixel per bin")
        rates.set_title("Rate by noise level of the latent", loc="left", fontweight="bold")
        rates.set_ylim(bottom=0)
        if any(names):
            rates.legend()
        if weights is None:
            rates.set_xlabel("log-SNR (less noise to the right)")
        else:
            _weights(weights, [(k, knobs[k]) for k in weighted], rates.get_xlim(), single=len(runs) == 1)
        plain_numbers(rates)

    told = [f"{words + ': ' if words else ''}{_sum_words(record)}" for _, words, record in shown]
    caption = f"Where on the scale of the latent's noise the bits are spent. {' '.join(told)}"
    rows = 2 if weighted else 1
    drawing = draw("rate-by-level", (5.4, 2.7 * rows), paint, rows=rows, label=caption)
    return Figure(drawing, caption, _level_rows(shown))


def _weights(axes: Axes, knobs: list[tuple[int, Knobs]], span: tuple[float, float], *, single: bool) -> None:
    ends = [span, *((one.bias - 3, one.bias + 4) for _, one in knobs if one.bias is not None)]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    grid = np.linspace(low, high, 200)
    named: list[float] = []
    for k, one in knobs:
        values = [one.weight(level) for level in grid]
        axes.plot(grid, values, color=SERIES[k], linestyle="-" if single else LINES[k])
        if one.break_even is not None and one.break_even not in named:
            named.append(one.break_even)
            axes.annotate(
                f"λ* {one.break_even:.2f}",
                (one.break_even, 1.0),
                xytext=(5, 5 + 11 * (len(named) - 1)),
                textcoords="offset points",
                ha="left",
                color=TEXT,
            )
            if single:
                axes.axvspan(low, one.break_even, color=WASH, linewidth=0)
                place = axes.get_xaxis_transform()
                axes.text(low, 0.06, " pays to go through the latent", transform=place, ha="left")
    axes.axhline(1.0, color=TEXT, linewidth=0.8)
    axes.set_xlim(low, high)
    axes.set_ylim(bottom=0)
    axes.set_title("Weight of the distortion by noise level of the pixels", loc="left", fontweight="bold")
    axes.set_ylabel("nats per nat")
    axes.set_xlabel("log-SNR (less noise to the right)")
    plain_numbers(axes)


def by_position(run: RunData) -> Figure | None:
    """Map of bits by latent position over the image; None without a split, or for a latent that is no map."""
    record = run.split_of_rate()
    if record is None or "by_position" not in record.extra:
        return None
    bits = np.asarray(record.extra["by_position"], dtype=float)
    frames = ""
    if bits.ndim == 3:
        bits, frames = bits.sum(axis=0), ", summed over frames"
    if bits.ndim != 2 or not bits.size:
        return None
    height, width = bits.shape

    def paint(axes: Axes) -> None:
        picture = axes.imshow(bits, cmap="magma", vmin=0.0, interpolation="nearest")
        axes.grid(visible=False)
        axes.set_xticks(range(width) if width <= 16 else [0, width - 1])
        axes.set_yticks(range(height) if height <= 16 else [0, height - 1])
        axes.set_title("Bits by latent position", loc="left", fontweight="bold")
        if bits.size <= 64:
            middle = 0.6 * bits.max()
            for (row, column), value in np.ndenumerate(bits):
                shade = "#000000" if value > middle else "#ffffff"
                axes.text(column, row, f"{value:.2g}", ha="center", va="center", color=shade)
        bar = axes.figure.colorbar(picture, ax=axes, shrink=0.85)
        bar.outline.set_visible(False)
        bar.set_label("bits per position")

    caption = (
        f"Bits at each of the {height}×{width} latent positions{frames}, mean over"
        f" {record.protocol.get('images', '?')} images; the top left is the image's. From"
        f" {short(bits.min())} to {short(bits.max())} bits, {short(bits.sum())} in all."
    )
    rows: tuple[tuple[str, ...], ...] = ()
    if bits.size <= 256:
        head = ("row", *(f"column {column}" for column in range(width)))
        rows = (head, *((str(row), *(f"{value:.3g}" for value in bits[row])) for row in range(height)))
    return Figure(draw("by-position", (5.4, 4.0), paint, label=caption), caption, rows)


def levels_of(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Edges, log-SNRs rising, and the bits per pixel between them."""
    split: dict[str, Any] = record.extra["by_noise_level"]
    return np.asarray(split["log_snr_edges"], float), np.asarray(split["bits_per_pixel"], float)


def _sum_words(record: Record) -> str:
    rest = float(record.extra["by_noise_level"].get("without_level", 0.0))
    word = record.protocol.get("rate", "")
    return (
        f"{short(record.value)} bits/pixel in all{f' ({word})' if word else ''}, of which {short(rest)}"
        " belong to no level (terminal and posterior term)."
    )


def _level_rows(shown: list[tuple[int, str, Record]]) -> tuple[tuple[str, ...], ...]:
    if len(shown) > 1:
        # Runs may have edges of their own.
        return ()
    edges, bits = levels_of(shown[0][2])
    head = ("log-SNR from", "to", "bits/pixel")
    pairs = zip(edges[:-1], edges[1:], bits, strict=True)
    return (head, *((f"{low:.2f}", f"{high:.2f}", short(value)) for low, high, value in pairs))


def _held_out(run: RunData, stage: str, name: str) -> float | None:
    record = run.measured.get(f"{stage}/heldout/{name}")
    return None if record is None else record.value


def _unit(runs: Sequence[RunData], name: str) -> str:
    return next(record.unit for run in runs for record in run.records if record.name == name)


def _warm_up(runs: Sequence[RunData]) -> int:
    """Steps of the rate's warm-up, where all runs have the same."""
    steps = {run.setting("stage1.rate_warmup_steps", 0) for run in runs}
    only = steps.pop() if len(steps) == 1 else 0
    return only if isinstance(only, int) else 0
