"""A spec explained before the first FLOP: the assembled pipeline as a table, and what is likely mistaken."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from ulzoo.assemble import Assembly
from ulzoo.experiment import check_fit
from ulzoo.inspection import RoleReport
from ulzoo.layout_check import share
from ulzoo.rules import RULES, Facts, SpecWarning, warnings_of
from ulzoo.spec import Spec, spec_hash, uses


@dataclass(frozen=True)
class Explanation:
    """A spec that fits together; `str` of it is what `ulzoo check --explain` prints.

    Attributes:
        assembly: with shapes of data and latent.
        reports: shapes, parameters and FLOPs by role.
        warnings: what the rules find and the spec does not silence.
    """

    spec: Spec
    assembly: Assembly
    reports: tuple[RoleReport, ...]
    warnings: tuple[SpecWarning, ...]

    def __str__(self) -> str:
        return "\n".join((f"spec {spec_hash(self.spec)}", "", *pipeline(self), "", *_findings(self.warnings)))


def explain(spec: Spec) -> Explanation:
    """Assemble a spec abstractly and apply the rules.

    Raises:
        SpecError: with every problem of a spec that does not fit together, or silences codes of no rule.
    """
    assembly, reports = check_fit(spec)
    return Explanation(spec, assembly, tuple(reports), spec_warnings(spec, assembly, reports))


def spec_warnings(spec: Spec, assembly: Assembly, reports: Sequence[RoleReport]) -> tuple[SpecWarning, ...]:
    """What the rules find in a spec of which assembly and reports are there already (`check_fit`)."""
    parameters = {report.role: report.parameters for report in reports}
    is_bound = bool(assembly.abstract("prior").is_bound)
    layout = share(spec, assembly)
    return warnings_of(
        Facts(
            spec,
            assembly.data.shape,
            assembly.latent_shape,
            parameters,
            is_bound,
            divided=layout.divided if layout else {},
            idle_rules=layout.idle_rules if layout else (),
        )
    )


def summary(explanation: Explanation) -> list[str]:
    """One line for each role, and the sum."""
    lines, unit = [], f"FLOPs/{_example(explanation)}"
    for report in explanation.reports:
        component = getattr(explanation.spec, report.role)
        shapes = f"{_shape(report.input_shape)} → {_shape(report.output_shape)}"
        lines.append(
            f"  {report.role:11s} {component.type:28s} {shapes:28s}"
            f" {_count(report.parameters):>8s} parameters {_count(report.flops):>8s}{unit}"
        )
    total = sum(report.parameters for report in explanation.reports)
    lines.append(f"  {'all':11s} {'':28s} {'':28s} {_count(total):>8s} parameters")
    return lines


def pipeline(explanation: Explanation) -> list[str]:
    """The table of the whole pipeline: roles, below each the components inside it."""
    spec, assembly = explanation.spec, explanation.assembly
    rows = [("role", "component", "input", "output", "parameters", f"FLOPs/{_example(explanation)}")]
    rows.append(("data", spec.data.type, "", _shape(assembly.data.shape), "", ""))
    for report in explanation.reports:
        component = getattr(spec, report.role)
        shapes = (_shape(report.input_shape), _shape(report.output_shape))
        costs = (f"{report.parameters:,}", _count(report.flops).strip())
        rows.append((report.role, component.type, *shapes, *costs))
        rows += [(f"  {use.path}", use.component.type, "", "", "", "") for use in uses(component)]
    total = sum(report.parameters for report in explanation.reports)
    rows.append(("all", "", "", "", f"{total:,}", ""))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if i > 3 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    noise = f"latent noise: {spec.latent.noise}, log-SNR {assembly.log_snr:g}"
    if assembly.level is not None:
        spread = f"logistic at {assembly.level.location:g} with scale {assembly.level.scale:g}"
        noise = f"latent noise: random, log-SNR {spread}, at most {assembly.log_snr:g}"
    word = "an upper bound on" if assembly.abstract("prior").is_bound else "a proxy for"
    return [*(line.rstrip() for line in lines), "", f"{noise}; the rate is {word} the latent's bits"]


def _findings(warnings: Sequence[SpecWarning]) -> list[str]:
    if not warnings:
        return ["no warnings"]
    reasons = {rule.code: rule.reason.split("\n\n")[0] for rule in RULES}
    lines = []
    for warning in warnings:
        lines.append(str(warning))
        if warning.code in reasons:
            lines += textwrap.wrap(
                reasons[warning.code], 106, initial_indent="    ", subsequent_indent="    "
            )
    return [*lines, "", "meant so? say why in the spec: silence: {" + f'{warnings[0].code}: "…"' + "}"]


def _example(explanation: Explanation) -> str:
    return "clip" if len(explanation.assembly.data.shape) == 4 else "image"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _count(number: int) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number} "
