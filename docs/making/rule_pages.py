"""A page for each rule: its reason, a spec that it speaks of, what it says there, and how to silence it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ulzoo.registry import Registry
from ulzoo.rules import IDLE_SILENCE, RULES, Facts, Rule, warnings_of
from ulzoo.spec import parse_spec

README = Path(__file__).parents[2] / "README.md"


@dataclass(frozen=True)
class Example:
    """Changes to the README's spec that make a rule speak, and facts that they bring with them.

    The facts are what assembling would find, written down so that pages are made without JAX.
    """

    overrides: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


def _steered(target: str) -> str:
    return (
        f"decoder.weighting={{type: ulzoo.steered_sigmoid.v1, rate_target: {{{target}}}, loss_factor: 3.0}}"
    )


EXAMPLES = {
    "UL001": Example(("decoder.weighting.loss_factor=1",)),
    "UL002": Example(("decoder.weighting.bias=0",)),
    "UL003": Example(("base_model.weighting.bias=3",)),
    "UL004": Example(("latent.log_snr=10",)),
    "UL005": Example(("stage1.rate_warmup_steps=0",)),
    "UL006": Example(("stage1.rate_warmup_steps=800",)),
    "UL007": Example(("prior.stop_gradient=true",), {"is_bound": False}),
    "UL008": Example(("decoder.schedule.log_snr_min=-5",)),
    "UL009": Example(
        ("encoder.channels=[32, 64, 64]", "encoder.blocks=[1, 1, 1]", "encoder.latent_channels=1"),
        {"latent_shape": (1, 2, 2)},
    ),
    "UL010": Example(("base_model.network.width=32",), {"parameters": (96_420, 911_924, 697_350, 319_638)}),
    "UL011": Example(("stage1.ema=0",)),
    "UL012": Example(("stage2.batch_size=60",)),
    "UL013": Example(("evaluate=[]",)),
    "UL014": Example(("evaluate=[{type: ulzoo.psnr.v1, count: 16}]",)),
    "UL015": Example(("parallel={mesh: {fsdp: 2}, replicate_below: 50000}",), {"divided": {"fsdp": 0.52}}),
    "UL016": Example(
        ("parallel.rules=[{match: decoder\\.towers, axes: default}, {match: .*, axes: default}]",),
        {"idle_rules": ("parallel.rules.0",)},
    ),
    "UL017": Example(("precision={params: bfloat16}",)),
    "UL018": Example((_steered("bits_per_pixel: 0.012"),)),
    "UL020": Example((_steered("bits_per_pixel: 0.2"), "stage1.rate_warmup_steps=500")),
    "UL021": Example(
        (
            "data={type: ulzoo.moving_digits.v1, size: 16, frames: 16, digit_size: 8}",
            "base_model.conditioners=[{type: ulzoo.given_frames.v1, given: [[3, 0]]}]",
            "evaluate=[{type: ulzoo.prediction_psnr.v1, given: 5}]",
        )
    ),
}


def told(registry: Registry, example: Example) -> list[str]:
    """What is printed about the README's spec with an example's changes."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    spec = parse_spec(blocks[0], source="my.yaml", overrides=example.overrides, registry=registry)
    facts = {
        "latent_shape": (4, 4, 4),
        "parameters": (96_420, 911_924, 697_350, 946_358),
        "is_bound": True,
    } | dict(example.facts)
    roles = ("encoder", "prior", "decoder", "base_model")
    parameters = dict(zip(roles, facts.pop("parameters"), strict=True))
    return [
        str(warning)
        for warning in warnings_of(Facts(spec, data_shape=(1, 16, 16), parameters=parameters, **facts))
    ]


def rule_page(rule: Rule, registry: Registry, made: str) -> str:
    """The page of one rule."""
    example = EXAMPLES[rule.code]
    printed = [line for line in told(registry, example) if f"warning {rule.code}:" in line]
    command = " ".join(
        ["ulzoo check my.yaml --explain", *(f"--set {shlex.quote(flag)}" for flag in example.overrides)]
    )
    return "\n".join(
        [
            made,
            f"# {rule.code}: {rule.title[0].lower()}{rule.title[1:]}",
            "",
            rule.reason,
            "",
            "## What is printed",
            "",
            "Of the [README's spec](../../../README.md#a-spec) with this change:",
            "",
            "```sh",
            command,
            "```",
            "",
            "```text",
            *printed,
            "```",
            "",
            "## Silence it",
            "",
            "Where it is wrong about your spec, say so there, with your reason:",
            "",
            "```yaml",
            f"silence: {{{rule.code}: why it does not hold here}}",
            "```",
            "",
            "[All rules](../rules.md)",
            "",
        ]
    )


def index_page(made: str) -> str:
    """All rules on one page, a line each."""
    return "\n".join(
        [
            made,
            "# Rules",
            "",
            "What `ulzoo check`, `run` and `train` warn about: specs that are allowed and likely a mistake."
            " A warning changes nothing, not even the exit status, unless `ulzoo check --strict` says so."
            " A rule that is wrong about your spec is silenced there, with the reason:",
            "",
            "```yaml",
            "silence: {UL013: measured by another program}",
            "```",
            "",
            f"- {IDLE_SILENCE}: a silence that silences nothing; leave it out.",
            *(
                f"- [{rule.code}](rules/{rule.code}.md): {rule.title[0].lower()}{rule.title[1:]}."
                for rule in RULES
            ),
            "",
        ]
    )


def rule_pages(registry: Registry, made: str) -> dict[str, str]:
    """Path → text: the list, and a page for each rule."""
    return {
        "reference/rules.md": index_page(made),
        **{f"reference/rules/{rule.code}.md": rule_page(rule, registry, made) for rule in RULES},
    }
