"""Which frames a base model was trained to be given, for commands that give it some."""

from __future__ import annotations

from ulzoo.cli.reporting import note
from ulzoo.errors import RunError
from ulzoo.spec import Spec
from ulzoo.spec.given import given_in_training

USUAL = 5
"""Frames given where a base model does not say what it was trained on (Kinetics in the paper)."""


def usual_beginning(spec: Spec) -> int:
    """How many frames are given at the beginning alone if nobody says how many."""
    return next((first for first, last in given_in_training(spec) if not last), USUAL)


def check_overlap(overlap: int, frames: int) -> None:
    """Raises RunError for an overlap that leaves nothing of a chunk of so many frames to be made."""
    if overlap >= frames:
        raise RunError(f"--overlap: must be less than a clip's {frames} frames, got {overlap}")


def note_untrained(spec: Spec, *given: tuple[int, int]) -> None:
    """A note for each pair that training never gave: nothing forbids it, and little can be expected of it."""
    trained = given_in_training(spec)
    for pair in dict.fromkeys(given):
        if trained and pair not in trained:
            known = ", ".join(map(_words, trained))
            note(f"the base model is given {_words(pair)}; in training it was given {known}")


def _words(pair: tuple[int, int]) -> str:
    """[5, 0] and the like, as specs have it, and what it means."""
    ends = [f"the {which} {n}" for which, n in zip(("first", "last"), pair, strict=True) if n]
    return f"{' and '.join(ends)} (given: [{pair[0]}, {pair[1]}])"
