"""Rules about specs that are allowed and likely mistaken. They warn; nothing depends on them. No JAX."""

from __future__ import annotations

from ulzoo.errors import SpecError
from ulzoo.rules import devices, evaluation, models, objective
from ulzoo.rules.rule import Facts, Finding, Rule, SpecWarning
from ulzoo.spec.load import problem_at
from ulzoo.spec.messages import nearest
from ulzoo.spec.model import Spec

RULES = (
    Rule("UL001", objective.loss_factor),
    Rule("UL002", objective.bias),
    Rule("UL003", objective.base_bias),
    Rule("UL004", objective.latent_noise),
    Rule("UL005", objective.rate_warmup),
    Rule("UL006", objective.long_warmup),
    Rule("UL007", objective.proxy),
    Rule("UL008", objective.noisy_end),
    Rule("UL009", models.channels),
    Rule("UL010", models.base_size),
    Rule("UL011", models.averaging),
    Rule("UL012", models.batches),
    Rule("UL013", evaluation.held_out),
    Rule("UL014", evaluation.few_samples),
    Rule("UL015", devices.idle_axis),
    Rule("UL016", devices.idle_rule),
    Rule("UL017", devices.narrow_parameters),
    Rule("UL018", objective.rate_target),
    Rule("UL020", objective.short_search),
    Rule("UL021", evaluation.frames_never_given),
)
"""All rules. A code is never given to another rule."""

IDLE_SILENCE = "UL000"
"""Code of the warning about a silence that silences nothing; it cannot be silenced."""

__all__ = ["IDLE_SILENCE", "RULES", "Facts", "Finding", "Rule", "SpecWarning", "check_silence", "warnings_of"]


def check_silence(spec: Spec) -> None:
    """Raises SpecError for silenced codes that no rule has."""
    codes = [rule.code for rule in RULES]
    problems = []
    for code in spec.silence:
        if code not in codes:
            near = nearest(code, codes)
            text = f"no rule has the code {code[:40]!r}" + (f"; did you mean '{near}'?" if near else "")
            problems.append(problem_at(spec, f"silence.{code}", text, [f"codes: {', '.join(codes)}"]))
    if problems:
        raise SpecError(problems)


def warnings_of(facts: Facts) -> tuple[SpecWarning, ...]:
    """What the rules find and the spec does not silence, sorted by place.

    Raises:
        SpecError: codes under `silence` that no rule has.
    """
    spec = facts.spec
    check_silence(spec)
    found = {rule.code: tuple(rule.find(facts)) for rule in RULES}
    idle = {
        code: Finding(f"silence.{code}", "silences nothing; leave it out")
        for code in spec.silence
        if not found[code]
    }
    told = [
        *(
            (code, finding)
            for code, findings in found.items()
            if code not in spec.silence
            for finding in findings
        ),
        *((IDLE_SILENCE, finding) for finding in idle.values()),
    ]
    warnings = (SpecWarning(code, problem_at(spec, finding.path, finding.text)) for code, finding in told)
    return tuple(sorted(warnings, key=lambda warning: (warning.problem.order, warning.code)))
