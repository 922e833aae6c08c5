"""Matplotlib figures as SVG that takes colours and letters from the page, and so is light or dark with it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

TEXT, GRID, AXIS, WASH = "#010101", "#010102", "#010103", "#010104"
SERIES = tuple(f"#0102{k:02x}" for k in range(8))
LINES = ("-", "--", "-.", ":", (0, (6, 1)), (0, (3, 1, 1, 1)), (0, (1, 2)), (0, (8, 3)))
"""Of the k-th series, which is thus told apart without its colour too."""

# Colours that stand for the page's own; no figure uses them for themselves.
_CSS = {TEXT: "currentColor", GRID: "var(--rule)", AXIS: "var(--faint)", WASH: "var(--wash)"} | {
    colour: f"var(--series-{k})" for k, colour in enumerate(SERIES)
}
_STYLE: dict[str, Any] = {
    # Names of runs are text, whatever signs are in them.
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.size": 9.5,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.edgecolor": AXIS,
    "xtick.color": AXIS,
    "ytick.color": AXIS,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def draw(
    name: str, size: tuple[float, float], paint: Callable[..., None], *, rows: int = 1, label: str
) -> Markup:
    """One figure as an `<svg>` element.

    Args:
        name: unique on the page; ids inside the figure begin with it.
        size: inches, width and height; the page scales it to its own width.
        paint: is given the axes of each row, which share the horizontal one.
        label: what the figure shows, for those who do not see it.
    """
    style: Any = {**_STYLE, "svg.hashsalt": name}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
        paint(*axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return Markup(_page_svg(buffer.getvalue(), name, label))


def plain_numbers(axes: Axes) -> None:
    """Ticks as 0.1, 1, 10 also where the axis is logarithmic: no formulas, which would be drawn as paths."""
    for axis in (axes.xaxis, axes.yaxis):
        formatter = FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−"))
        axis.set_major_formatter(formatter)
        axis.set_minor_formatter(NullFormatter())


def _page_svg(text: str, name: str, label: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    for colour, css in _CSS.items():
        text = text.replace(colour, css)
    # Sizes come from the page, the proportions from the figure.
    opening = re.match(r"<svg[^>]*>", text)
    assert opening is not None
    view = re.search(r'viewBox="[^"]*"', opening[0])
    assert view is not None
    head = f'<svg {view[0]} role="img" aria-label="{Markup.escape(label)}">'
    text = head + text[opening.end() :]
    # Several figures share the page, so their ids must not.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="#|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = text.replace("xlink:href", "href")
    # Letters are the page's; and a style element in here would hold for all of it.
    text = re.sub(r"\bfont: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    return re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL)
