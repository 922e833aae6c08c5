"""Numbers and data as a page shows them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def short(value: float) -> str:
    """Four significant digits; no exponent where it can be avoided."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "not a number")
    text = f"{value:.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"
    return text.replace("-", "−")


def interval_words(interval: tuple[float, float] | None) -> str:
    """`0.24 to 0.26`, or nothing."""
    return "" if interval is None else " to ".join(short(end) for end in interval)


def duration(seconds: float) -> str:
    """1 h 02 min, 2 min 03 s, or 4.1 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def moment(text: str) -> str:
    """An ISO time as 2026-05-04 12:00 and its zone; any other text as it is."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{time:%Y-%m-%d %H:%M} {time.tzname() or ''}".rstrip()


_SPELLED = {"psnr": "PSNR", "pca": "PCA", "frechet": "Fréchet", "fid": "FID", "fvd": "FVD", "kid": "KID"}


def title(name: str) -> str:
    """The last part of a record's name in words."""
    return " ".join(_SPELLED.get(word, word) for word in name.split("/")[-1].split("_"))


def flat(value: Any, path: str = "") -> dict[str, str]:
    """Dotted path → value as JSON, of nested data; an empty list or mapping is a value of its own."""
    if isinstance(value, Mapping) and value:
        pairs = [(f"{path}.{key}".lstrip("."), part) for key, part in value.items()]
    elif isinstance(value, list) and value and any(isinstance(part, Mapping) for part in value):
        pairs = [(f"{path}.{index}".lstrip("."), part) for index, part in enumerate(value)]
    else:
        return {path: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}
    return {name: text for at, part in pairs for name, text in flat(part, at).items()}
