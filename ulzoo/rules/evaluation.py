"""Rules about what is measured."""

from __future__ import annotations

from collections.abc import Iterator

from ulzoo.rules.rule import Facts, Finding, number
from ulzoo.spec.given import given_in_training

FEWEST_IMAGES = 100
"""Half the width of a 95 % interval is then a fifth of the standard deviation."""

SAMPLES_PER_COMPONENT = 10
"""A covariance of n samples in d dimensions is off by about √(d/n), here a third."""


FEWEST_FOR_FID = 10_000
"""Of 2048 features; the bias of the distance is then about a tenth of that of a thousand images."""

_NETWORK_FRECHET = ("fid.", "rfid.", "fd_dinov2.", "rfd_dinov2.")


def held_out(facts: Facts) -> Iterator[Finding]:
    """Nothing measured on held-out data.

    Numbers on training images say nothing about others, and a run that measures nothing cannot be compared.

    Do: put a metric with `split: heldout` under `evaluate`, such as `ulzoo.bits_per_pixel.v1` and
    `ulzoo.psnr.v1`.

    Source: practice.
    """
    if all(getattr(metric, "split", "heldout") != "heldout" for metric in facts.spec.evaluate):
        what = "metrics look at training data only" if facts.spec.evaluate else "nothing is measured"
        yield Finding("evaluate", f"{what}; add one with split: heldout")


def few_samples(facts: Facts) -> Iterator[Finding]:
    """Metric on few images.

    A Fréchet distance of few samples is biased upwards, about as one over their number, and has to fit a
    covariance of its components; any mean over less than a hundred images is mostly chance.

    Do: raise the metric's `count` to a thousand, and to ten times its `components`; for distances on a
    network's features to ten thousand, to compare with papers to fifty thousand.

    Source: practice; Fréchet distances of small samples: Chong & Forsyth 1911.07023.
    """
    for i, metric in enumerate(facts.spec.evaluate):
        count = number(metric, "count")
        # Others may have components too, but fit no covariance to the samples.
        components = number(metric, "components") if "frechet" in metric.type else None
        fewest = max(FEWEST_IMAGES, SAMPLES_PER_COMPONENT * (components or 0))
        if metric.type.partition(".")[2].startswith(_NETWORK_FRECHET):
            fewest = FEWEST_FOR_FID
        if count is not None and count < fewest:
            text = f"{count:g} images are few for {metric.type}; take {fewest:g} or more"
            yield Finding(f"evaluate.{i}.count", text)


def frames_never_given(facts: Facts) -> Iterator[Finding]:
    """Prediction from frames that training never gave.

    A base model goes on from as many frames as its conditioner gave it in training. Given more or fewer it
    meets a condition that it has never seen, and the number says little of what it can do.

    Do: give the metric's `given` as a pair of the conditioner's, such as [5, 0], or add that pair there.

    Source: ours.
    """
    trained = given_in_training(facts.spec)
    for i, metric in enumerate(facts.spec.evaluate):
        given = number(metric, "given") if getattr(metric, "predicts", False) else None
        if given is not None and trained and (int(given), 0) not in trained:
            pairs = ", ".join(f"[{first}, {last}]" for first, last in trained)
            text = f"{given:g} frames are given, in training {pairs}; add [{given:g}, 0] there"
            yield Finding(f"evaluate.{i}.given", text)
