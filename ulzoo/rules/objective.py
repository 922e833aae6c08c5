"""Rules about what is trained for: weightings, noise, the rate."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ulzoo.rules.rule import Facts, Finding, number

BIAS_TOLERANCE = 2.0
"""A factor e² in signal-to-noise, an octave and a half of resolution; SiD2's own biases stay within 0.4."""

SMALL = 10_000_000
"""Parameters: thirty times the model whose collapse was measured here."""

FURTHEST_LOG_SNR = 7.5
"""Half-way between the paper's 5 and the 10 of its ablation B, whose latent held next to nothing."""

FEWEST_BITS, MOST_BITS = 0.05, 4.0
"""Per latent value: collapsed below; ½ log₂(1 + e⁵) = 3.6 is a value of standard deviation 1."""

SETTLINGS = 4.0
"""Settling times that a search should have."""

NOISE = -10.0
"""Log-SNR at which 0.005 % of the variance is signal: the paper's end of the latent's schedule."""


def loss_factor(facts: Facts) -> Iterator[Finding]:
    """Loss factor at which no information pays.

    A nat in the latent costs one; it saves the decoder at most `loss_factor` nats. At 1 or less nothing is
    worth its price, and the best latent is an empty one. The paper's values are 1.3 to 2.1, small images take
    more.

    Do: raise `decoder.weighting.loss_factor` above 1.

    Source: Heek et al. 2026, table 1; break-even level λ* = bias + ln(loss_factor − 1), derived here.
    """
    factor = number(getattr(facts.spec.decoder, "weighting", None), "loss_factor")
    if factor is not None and factor <= 1:
        text = f"at {factor:g} no information pays to go through the latent; give more than 1"
        yield Finding("decoder.weighting.loss_factor", text)


def bias(facts: Facts) -> Iterator[Finding]:
    """Bias unfit for the resolution.

    Pixels of small images carry their information at less noise, each halving of the edge 2 ln 2 in log-SNR
    higher. SiD2's biases, 0, −1, −3, −4 at 128², 256², 512², 1024², follow `2 ln(128 / edge)` within 0.4. A
    bias more than 2 from that leaves to the decoder what should go through the latent (too low), or pays for
    detail that nobody sees (too high).

    Do: take a bias near `2 ln(128 / edge)`.

    Source: Hoogeboom et al. 2410.19324 for the biases; the formula is derived here.
    """
    given = number(getattr(facts.spec.decoder, "weighting", None), "bias")
    space = facts.data_shape[-2:] if len(facts.data_shape) > 2 else ()
    if given is None or not space:
        return
    fit = 2 * math.log(128 / math.sqrt(math.prod(space)))
    if abs(given - fit) > BIAS_TOLERANCE:
        size = "×".join(map(str, space))
        side = "low" if given < fit else "high"
        yield Finding("decoder.weighting.bias", f"{given:g} is {side} for {size} pixels; try about {fit:.1f}")


def base_bias(facts: Facts) -> Iterator[Finding]:
    """Base model's bias not below the decoder's.

    The base model models latents, whose structure is coarser than that of pixels; the paper gives it a
    smaller bias of its own. With one as large as the decoder's it spends itself on the noise at the latent's
    end.

    Do: lower `base_model.weighting.bias`.

    Source: Heek et al. 2026, §3.3.
    """
    base = number(getattr(facts.spec.base_model, "weighting", None), "bias")
    decoder = number(getattr(facts.spec.decoder, "weighting", None), "bias")
    if base is not None and decoder is not None and base >= decoder:
        text = f"{base:g} is not below the decoder's {decoder:g}; lower it"
        yield Finding("base_model.weighting.bias", text)


def latent_noise(facts: Facts) -> Iterator[Finding]:
    """Latent with hardly any noise.

    Little noise makes each dimension of the latent dear, whatever it carries. In the paper's ablation B, at a
    log-SNR of 10 in place of 5, the latent held 0.008 bits/pixel in place of 0.059, and rFID rose from 0.47
    to 28.

    Do: keep `latent.log_snr` near 5.

    Source: Heek et al. 2026, ablation B.
    """
    given = facts.spec.latent.log_snr
    if given > FURTHEST_LOG_SNR:
        text = f"{given:g} leaves hardly any noise, and such latents came out empty; 5 is the paper's"
        yield Finding("latent.log_snr", text)


def rate_warmup(facts: Facts) -> Iterator[Finding]:
    """No warm-up of the rate on a small model.

    An untrained prior overcharges, the cheapest latent is then an empty one, and no gradient leads back.
    Measured on 16×16 digits, 0.3 M parameters, loss factor 1.5, bias 4: 0.005 bits/pixel and 11 dB without a
    warm-up, 0.18 bits/pixel and 22.5 dB with one. Told of models of up to 10 M parameters in stage 1 whose
    prior learns.

    Do: let `stage1.rate_warmup_steps` be a fifth to a half of `stage1.steps`.

    Source: measured here.
    """
    total = sum(count for role, count in facts.parameters.items() if role != "base_model")
    if facts.spec.stage1.rate_warmup_steps == 0 and facts.parameters["prior"] and total <= SMALL:
        text = "without a warm-up of the rate small models collapse; give a fifth to a half of the steps"
        yield Finding("stage1.rate_warmup_steps", text)


def long_warmup(facts: Facts) -> Iterator[Finding]:
    """Warm-up of the rate for most of the stage.

    While the rate's weight rises the loss is a proxy and the latent is too rich. What is left of the stage
    has to bring the rate down again.

    Do: shorten `stage1.rate_warmup_steps`, or lengthen the stage.

    Source: the warm-ups tried here took 20 to 60 % of the steps.
    """
    stage = facts.spec.stage1
    if stage.rate_warmup_steps > 0.75 * stage.steps:
        text = f"{stage.rate_warmup_steps} of {stage.steps} steps train on a proxy; shorten it"
        yield Finding("stage1.rate_warmup_steps", text)


def proxy(facts: Facts) -> Iterator[Finding]:
    """Rate that is a proxy.

    The prior trains on more or less than the rate, or hides it from the encoder. All that is reported as rate
    is then no bound on the latent's bits, and is labelled so.

    Do: leave `stop_gradient`, `normal_kl` and `discount` at their defaults, unless this ablation is what you
    want.

    Source: Heek et al. 2026, §3.1 and ablation A.
    """
    if not facts.is_bound:
        yield Finding("prior", "its rate is a proxy, no bound on the latent's bits")


def noisy_end(facts: Facts) -> Iterator[Finding]:
    """Schedule that ends before all is noise.

    Sampling starts from pure noise, which a model never met in training if its schedule ends earlier; and the
    prior's terminal term then charges for what the diffusion should. The latent's schedule ends at −10 or
    below.

    Do: let `log_snr_min` be −10 or less.

    Source: Heek et al. 2026, §3.1 (λ_z(1)).
    """
    for role in ("prior", "decoder", "base_model"):
        end = number(getattr(getattr(facts.spec, role), "schedule", None), "log_snr_min")
        if end is not None and end > NOISE:
            yield Finding(
                f"{role}.schedule.log_snr_min", f"{end:g} leaves signal at the noisy end; give −10 or less"
            )


def rate_target(facts: Facts) -> Iterator[Finding]:
    """Rate target that a latent of this size is unlikely to have.

    A latent value at a log-SNR of 5 holds about 3.6 bits if its standard deviation is 1, so more than 4 bits
    per value have no place; at less than 0.05 a latent counts as collapsed. The paper's runs have 0.3 to 1.

    Do: change `decoder.weighting.rate_target`, or the number of latent values (channels, down-sampling).

    Source: Heek et al. 2026, table 2; ½ log₂(1 + e⁵), derived here.
    """
    target = getattr(getattr(facts.spec.decoder, "weighting", None), "rate_target", None)
    if target is None:
        return
    bits = target.nats(math.prod(facts.data_shape[1:])) / math.log(2) / math.prod(facts.latent_shape)
    if not FEWEST_BITS <= bits <= MOST_BITS:
        side = "few" if bits < FEWEST_BITS else "many"
        text = (
            f"{bits:.2g} bits per latent value are {side}; between {FEWEST_BITS:g} and {MOST_BITS:g} is usual"
        )
        yield Finding("decoder.weighting.rate_target", text)


def short_search(facts: Facts) -> Iterator[Finding]:
    """Little time to find the rate.

    The dial waits until the rate has its full weight, and stays for the last part of the stage. What is
    between has to be several times its settling time, or the rate ends off its target.

    Do: lengthen the stage, or lower `stage1.rate_warmup_steps`, `decoder.weighting.settle` or `freeze`.

    Source: measured here; digits at 1200 steps, a fifth of them warm-up, with settling in a tenth.
    """
    weighting, stage = getattr(facts.spec.decoder, "weighting", None), facts.spec.stage1
    settle, freeze = number(weighting, "settle"), number(weighting, "freeze")
    if settle is None or freeze is None:
        return
    share = 1.0 - freeze - stage.rate_warmup_steps / stage.steps
    if share < SETTLINGS * settle:
        text = f"the dial moves in {max(share, 0):.0%} of the steps, less than {SETTLINGS:g} × settle"
        yield Finding("decoder.weighting", f"{text} = {SETTLINGS * settle:.0%}; lengthen that part")
