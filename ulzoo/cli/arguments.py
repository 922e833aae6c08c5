"""Arguments that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
import math

from ulzoo.errors import RunError


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="RUN", help="a run directory")


def add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", help="run directory to make; by default a dated one under runs/"
    )


def add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=VALUE",
        dest="overrides",
        help="override a value of the spec; typed like YAML; may be repeated",
    )


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        type=_checkpoint,
        default="latest",
        metavar="WHICH",
        help="latest (the default), best (by the stage's keep_best), or a step",
    )


def _checkpoint(text: str) -> int | str:
    return text if text in ("latest", "best") else natural(text)


def add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=("webp", "gif", "mp4"), default="webp", help="of clips; mp4 needs the extra video"
    )


def positive(text: str) -> int:
    value = natural(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def natural(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {text}")
    return value


def seed(text: str) -> int:
    from ulzoo.spec.component import SEEDS

    value = natural(text)
    if value >= SEEDS:
        raise argparse.ArgumentTypeError(f"must be less than {SEEDS}, got {text}")
    return value


def rate(text: str) -> float:
    value = scale(text)
    if not value:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def check_label(label: int, classes: int | None) -> None:
    """Raises RunError for a class that the data, of so many, does not have."""
    if not 0 <= label < (classes or 0):
        what = "the data has no classes" if classes is None else f"must be from 0 to {classes - 1}"
        raise RunError(f"--label: {what}, got {label}")


def scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
    if not (0.0 <= value < math.inf):
        raise argparse.ArgumentTypeError(f"must be finite and not negative, got {text}")
    return value
