"""Numbers against bits, with their intervals: one figure for each number that a sweep has measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes

from ulzoo.report.drawing import LINES, SERIES, draw, plain_numbers
from ulzoo.report.figures import Figure
from ulzoo.report.numbers import short, title
from ulzoo.sweep.results import Mean, Row, groups, mean_of, names_of

RATE = "/bits_per_pixel"
_OF_THE_RATE = ("bits_per_pixel", "nats", "bits_per_latent_dim", "bytes_per_image", "rate_error", "collapsed")
_COLOURS = ("#0b62b8", "#b84408", "#08704e", "#8336ab", "#8c5a00", "#b81f58", "#4a5568", "#00707f")


@dataclass(frozen=True)
class Place:
    """Where a group is drawn: its rate, its number, and the two of each of its runs."""

    group: str
    rate: Mean
    number: Mean
    runs: tuple[tuple[float, float], ...]


def rate_name(rows: Sequence[Row]) -> str | None:
    """The name of the rate that figures are drawn against: of held-out images if there is one."""
    rates = [name for name in names_of(rows) if name.endswith(RATE)]
    return next((name for name in rates if "/heldout/" in name), rates[0] if rates else None)


def against_bits(rows: Sequence[Row]) -> list[Figure]:
    """Rate–distortion, generation against bits: every number measured but those that say the rate again."""
    rate = rate_name(rows)
    if rate is None:
        return []
    numbers = [name for name in names_of(rows) if name.rpartition("/")[2] not in _OF_THE_RATE]
    return [figure for name in numbers if (figure := _figure(rows, rate, name)) is not None]


def places(rows: Sequence[Row], rate: str, name: str) -> list[Place]:
    """One for each group that has both numbers, by rising rate."""
    found = []
    for group, members in groups(rows).items():
        both = [row for row in members if rate in row.measured and name in row.measured]
        bits, number = mean_of(both, rate), mean_of(both, name)
        if bits is not None and number is not None:
            each = tuple((row.measured[rate].value, row.measured[name].value) for row in both)
            found.append(Place(group, bits, number, each))
    return sorted(found, key=lambda place: place.rate.value)


def _figure(rows: Sequence[Row], rate: str, name: str) -> Figure | None:
    shown = places(rows, rate, name)
    if not shown:
        return None
    unit = next(row.measured[name].unit for row in rows if name in row.measured)
    words = f"{title(name)}{'' if unit == '1' else f', {unit}'}"

    def paint(axes: Axes) -> None:
        axes.plot(
            [place.rate.value for place in shown],
            [place.number.value for place in shown],
            color=SERIES[0],
            linestyle=LINES[0],
            linewidth=0.8,
        )
        for place in shown:
            x, y = place.rate, place.number
            axes.errorbar(
                x.value, y.value, xerr=_ends(x), yerr=_ends(y), color=SERIES[0], marker="o", capsize=2.5
            )
            for bits, number in place.runs if len(place.runs) > 1 else ():
                axes.plot(bits, number, color=SERIES[1], marker=".", markersize=4, linestyle="")
            axes.annotate(
                place.group, (x.value, y.value), xytext=(4, 5), textcoords="offset points", fontsize=7.5
            )
        axes.set_xlabel("bits/pixel")
        axes.set_ylabel(words)
        axes.set_title(f"{title(name)} against bits", loc="left", fontweight="bold")
        plain_numbers(axes)

    over = {place.number.over for place in shown} - {"nothing"}
    bars = f" Bars: 95 % over {' or '.join(sorted(over))}." if over else ""
    caption = f"{words} ({name}) against bits per pixel ({rate}), {len(shown)} groups of runs.{bars}"
    table = [("runs", "bits/pixel", "95 %", words, "95 %", "runs in it")]
    for place in shown:
        x, y = place.rate, place.number
        cells = (short(x.value), _words(x), short(y.value), _words(y), str(len(place.runs)))
        table.append((place.group, *cells))
    drawing = draw(re.sub(r"\W+", "-", name), (5.4, 3.4), paint, label=caption)
    return Figure(drawing, caption, tuple(table))


def _ends(mean: Mean) -> list[list[float]] | None:
    if mean.interval is None:
        return None
    low, high = mean.interval
    # A record's own interval need not hold its value in the middle; a length is never negative.
    return [[max(mean.value - low, 0.0)], [max(high - mean.value, 0.0)]]


def _words(mean: Mean) -> str:
    return "" if mean.interval is None else " to ".join(short(end) for end in mean.interval)


def standalone(svg: Markup) -> str:
    """A drawing as a file of its own, with colours of its own, on white."""
    text = str(svg).replace("currentColor", "#1b1f24")
    for name, colour in (("rule", "#d8dee4"), ("faint", "#6e7781"), ("wash", "#e9edf2")):
        text = text.replace(f"var(--{name})", colour)
    for k, colour in enumerate(_COLOURS):
        text = text.replace(f"var(--series-{k})", colour)
    head = '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" style="background: white"'
    return text.replace("<svg", head, 1) + "\n"
