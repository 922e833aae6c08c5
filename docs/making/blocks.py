"""Generated parts of pages that are otherwise written by hand, between two marks:

<!-- made: NAME -->
<!-- end -->
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterator

from ulzoo import errors
from ulzoo.cli import _parser
from ulzoo.cli.commands import COMMANDS
from ulzoo.experiment import metric_stage
from ulzoo.records import Record
from ulzoo.registry import RESERVED, Registry

_BLOCK = re.compile(r"(<!-- made: ([^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, make: Callable[[str], list[str]]) -> str:
    """A page with each block made anew; `make` takes its name.

    Raises:
        KeyError: a name that nothing makes.
    """
    # Between empty lines, or some readers take a table for more of the mark.
    return _BLOCK.sub(lambda match: "\n".join((match[1], *make(match[2]), "", match[3])), text)


def command_lines(name: str) -> list[str]:
    """Usage of `ulzoo NAME`, and a table of what it takes; NAME may be two words, such as `data check`."""
    first, *deeper = name.split()
    parser = _parsers()[first]
    for word in deeper:
        parser = _parsers(parser)[word]
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    options = [action for action in actions if action.option_strings]
    places = [action for action in actions if not action.option_strings]
    usage = " ".join(["ulzoo", name, *map(_usage, places), *map(_usage, options)])
    rows = [f"| {_invocation(action)} | {_cell(action.help or '')} |" for action in actions]
    return ["```text", usage, "```", "", "| argument | |", "|---|---|", *rows]


def command_table() -> list[str]:
    """Every command and what it is for."""
    rows = [
        f"| [`ulzoo {name}`](#ulzoo-{name}) | {_cell(command.text)} |" for name, command in COMMANDS.items()
    ]
    return ["| command | |", "|---|---|", *rows]


def error_table() -> list[str]:
    """Every error that users meet, in the words of its class."""
    found = [
        cls
        for _, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, errors.UlzooError) and cls.__module__ == errors.__name__
    ]
    found.sort(key=lambda cls: inspect.getsourcelines(cls)[1])
    rows = [f"| `{cls.__name__}` | {_cell(_sentences(cls.__doc__))} |" for cls in found]
    return ["| error | |", "|---|---|", *rows]


def record_table() -> list[str]:
    """The keys of a line of metrics.jsonl."""
    rows = [f"| `{name}` | {_cell(text)} |" for name, text in _attributes(Record.__doc__)]
    return ["| key | |", "|---|---|", *rows]


def metric_table(registry: Registry) -> list[str]:
    """Every metric that comes along."""
    rows = []
    for entry in registry.entries("metric"):
        if entry.distribution == RESERVED:
            cls = registry.load("metric", entry.name)
            stage = metric_stage(cls)  # type: ignore[arg-type]  # a class answers as its instances do
            rows.append(f"| [`{entry.name}`](components.md) | {stage} | {_cell(_sentences(cls.__doc__))} |")
    return ["| metric | after stage | |", "|---|---|---|", *rows]


def _parsers(parser: argparse.ArgumentParser | None = None) -> dict[str, argparse.ArgumentParser]:
    parser = _parser() if parser is None else parser
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def _invocation(action: argparse.Action) -> str:
    words = [
        f"{option}{_value(action) if option.startswith('--') else ''}" for option in action.option_strings
    ]
    return ", ".join(f"`{_cell(word)}`" for word in words or [_value(action).strip()])


def _usage(action: argparse.Action) -> str:
    """As argparse would say it, but the same in every version of Python."""
    text = f"{action.option_strings[-1]}{_value(action)}" if action.option_strings else _value(action).strip()
    text += "…" if action.nargs == "+" else ""
    required = action.required if action.option_strings else action.nargs != "?"
    return text if required else f"[{text}]"


def _value(action: argparse.Action) -> str:
    """What an argument takes, after a space; nothing for a switch."""
    if action.nargs == 0:
        return ""
    name = action.metavar if isinstance(action.metavar, str) else None
    return f" {name or '|'.join(map(str, action.choices or ()))}"


def _attributes(text: str | None) -> Iterator[tuple[str, str]]:
    """Names and texts of a docstring's section `Attributes:`."""
    section = inspect.cleandoc(text or "").split("Attributes:\n", 1)[1].split("\n\n")[0]
    for part in re.split(r"\n(?=    \S)", section):
        name, _, words = part.strip().partition(":")
        yield name, " ".join(words.split())


def _sentences(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
