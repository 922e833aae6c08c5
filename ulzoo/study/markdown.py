"""The page of a study: what was run, tables with intervals, figures, and a verdict on each claim."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path

from ulzoo.atomic import write_atomic
from ulzoo.errors import RunError
from ulzoo.report.numbers import interval_words, short
from ulzoo.study.claims import Answer, answer
from ulzoo.study.model import Study
from ulzoo.sweep.figures import against_bits, standalone
from ulzoo.sweep.results import Row, groups, mean_of, names_of, results_data

_LEFT_OUT = ("nats", "bytes_per_image")
"""Numbers that say the rate once more in another unit."""


def write_study(folder: str | Path, name: str, command: str, study: Study, rows: Sequence[Row]) -> Path:
    """`<name>.md`, its figures `<name>-<number>.svg`, and `<name>.jsonl`: one line a run, with every number
    and its protocol.

    Raises:
        RunError: they cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pictures = []
        for k, figure in enumerate(against_bits(rows), start=1):
            write_atomic(folder / f"{name}-{k}.svg", standalone(figure.svg))
            pictures.append((f"{name}-{k}.svg", figure.caption))
        runs = results_data(rows)["runs"]
        lines = (json.dumps(run, ensure_ascii=False, allow_nan=False) + "\n" for run in runs)
        write_atomic(folder / f"{name}.jsonl", "".join(lines))
        write_atomic(folder / f"{name}.md", study_text(command, study, rows, pictures, f"{name}.jsonl"))
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return folder / f"{name}.md"


def study_text(
    command: str,
    study: Study,
    rows: Sequence[Row],
    pictures: Sequence[tuple[str, str]] = (),
    records: str | None = None,
) -> str:
    """The page as Markdown; `records`: the file of all records, if there is one."""
    lines = [f"# {study.title}", ""]
    if study.about:
        lines += [study.about, ""]
    done, planned = len(rows), len(study.points())
    seeds, stages = ", ".join(map(str, study.seeds)), " and ".join(map(str, study.stages))
    lines += [
        f"{done} of {planned} runs: {len(study.variants)} variants, seeds {seeds}, stage {stages}, from"
        f" `{study.base}`. Made by",
        "",
        "```sh",
        command,
        "```",
        "",
    ]
    if study.claims:
        lines += ["## Claims", "", *_claims([answer(study, claim, rows) for claim in study.claims]), ""]
    lines += ["## Numbers", "", *_numbers(rows), ""]
    for path, caption in pictures:
        lines += [f"![{caption}]({path})", ""]
    lines += ["## Variants", "", "| variant | changes |", "|---|---|"]
    for name, changes in study.variants.items():
        told = ", ".join(f"`{path}: {value}`" for path, value in changes.items())
        lines.append(f"| {_cell(name)} | {_cell(told or 'none')} |")
    lines += ["", f"{platform.machine()}, Python {platform.python_version()}."]
    if records is not None:
        lines[-1] += f" Every number with its protocol and the hash of its spec: [`{records}`]({records})."
    lines.append("")
    return "\n".join(lines)


def _claims(answers: Sequence[Answer]) -> list[str]:
    lines = [
        "| claim | from | number | at this scale | mean difference of equal seeds, 95 %; or every run |",
        "|---|---|---|---|---|",
    ]
    for one in answers:
        steps = "; ".join(step.words() for step in one.steps)
        claim = one.claim
        numbers = ", then ".join(f"`{number}`" for number in dict.fromkeys(claim.numbers))
        cells = (claim.text, claim.source, numbers, f"**{one.verdict}**", steps)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    lines += [
        "",
        "*Agrees*: the number rises at every step, with a 95 % interval above zero. *Disagrees*: at one step"
        " the interval is below zero. Else *undecided*. Of a number that lies within bounds: in every run, or"
        " not. Nothing is corrected for several claims.",
    ]
    return lines


def _numbers(rows: Sequence[Row]) -> list[str]:
    names = [name for name in names_of(rows) if name.rpartition("/")[2] not in _LEFT_OUT]
    if not names:
        return ["Nothing has been measured yet."]
    units = {name: record.unit for row in rows for name, record in row.measured.items()}
    heads = [f"`{name}`{'' if units[name] == '1' else f', {units[name]}'}" for name in names]
    lines = [f"| variant | runs | {' | '.join(heads)} |", "|---" * (len(names) + 2) + "|"]
    for group, members in groups(rows).items():
        cells = []
        for name in names:
            mean = mean_of(members, name)
            ends = "" if mean is None or mean.interval is None else f" ({interval_words(mean.interval)})"
            cells.append("" if mean is None else f"{short(mean.value)}{ends}")
        lines.append(f"| {_cell(group)} | {len(members)} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        "Means over seeds with Student's 95 % interval; of a single run, its own over images, if it has one.",
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
