"""Which frames of a clip a spec's base model is trained to be given."""

from __future__ import annotations

from ulzoo.spec.model import Spec


def given_in_training(spec: Spec) -> list[tuple[int, int]]:
    """How many frames at the beginning and at the end, as its conditioners have them under `given`; empty if
    none takes frames, or if those that do say nothing of it."""
    conditioners = getattr(spec.base_model, "conditioners", None) or ()
    taking = [each for each in conditioners if getattr(each, "gives_frames", False)]
    return [(first, last) for each in taking for first, last in getattr(each, "given", ())]
